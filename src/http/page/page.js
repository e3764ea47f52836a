// SPDX-License-Identifier: GPL-3.0-or-later
/* The page around the picture: what the daemon says about itself, buttons and keys. */

const POLL_MS = 1000, POLL_ANSWER_MS = 3000;
const DRAW_MS = 250;

function at(id)
{
	return document.getElementById(id);
}

function setText(id, text)
{
	/* Unchanged text is left alone: screen readers would say it again. */
	if (at(id).textContent !== text)
		at(id).textContent = text;
}

/* ---- the state */

const daemon = { isAway: false, h264: "", size: "" };

function show(level, text, hint)
{
	document.body.dataset.level = level;
	setText("text", text);
	setText("hint", hint);
	document.title = level === "good" ? "hdmicast" : `${text} \u2013 hdmicast`;
}

function showSource(source)
{
	daemon.isOnline = source.online; /* the slate has no age */
	if (source.online)
		show("good", source.text || "Online", "");
	else
		show("warn", source.text || "No signal", source.hint || "");
}

function setAway(isAway, text = "No connection", hint = "Is hdmicast running, and the network up?",
	notice = "Trying again\u2026")
{
	document.body.classList.toggle("lost", isAway);
	if (isAway) {
		show("bad", text, hint);
		setText("notice", `${text}. ${notice}`);
	} else if (daemon.isAway) {
		clock.start();
		player.forgive();
		player.wake();
	}
	daemon.isAway = isAway;
}

/* What H.264 was refused for may be over. */
function considerH264(h264)
{
	const { state } = h264;

	if (daemon.h264 && daemon.h264 !== state && state !== "failed" && state !== "off")
		player.reconsider();
	daemon.h264 = state;
	stats.h264 = h264;
}

/* Nor need what one size was too much for be too much for another. */
function considerSize({ width, height })
{
	const size = `${width}\u00d7${height}`;

	if (daemon.size && daemon.size !== size) {
		player.forgive();
		player.chooseAgain();
	}
	daemon.size = size;
}

async function poll()
{
	try {
		const reply = await ask("state", { signal: AbortSignal.timeout(POLL_ANSWER_MS) });

		if (reply.status === 401)
			return setAway(true, "Password needed", "", "Load this page again to give it.");
		const { source, h264 } = (await reply.json()).result;

		setAway(false);
		refreshSettings();
		showSource(source);
		considerH264(h264);
		considerSize(source.resolution);
	} catch (error) {
		/* A browser that asks its user for the password does not answer us meanwhile. */
		if (error.name === "TimeoutError")
			setAway(true, "No answer", "If hdmicast asks for a password now, load this page again.");
		else
			setAway(true);
	} finally {
		showNumbers();
		clearTimeout(poll.timer);
		poll.timer = setTimeout(poll, daemon.isAway ? POLL_MS / 2 : POLL_MS);
	}
}

/* Others may change them, too; what somebody is just about to change is left to him. */
function refreshSettings()
{
	if (!at("settings").hidden && !document.activeElement.matches("input, select"))
		settings.load().catch(() => {});
}

function showNumbers()
{
	const ages = stats.ages();
	const parts = [`${stage.width}\u00d7${stage.height}`, `${Math.round(stats.fps())} fps`];

	if (ages && daemon.isOnline && stats.fps() > 0)
		parts.push(`${Math.round(ages.median)} ms`);
	setText("numbers", stage.width && !daemon.isAway ? parts.join(" \u00b7 ") : "");
}

/* ---- statistics */

function drawStats()
{
	if (at("stats").hidden)
		return;
	at("figures").replaceChildren(...stats.lines().flatMap(([what, value]) =>
		[make("dt", { textContent: what }), make("dd", { textContent: value })]));
	stats.draw(at("graph"));
	clearTimeout(drawStats.timer);
	drawStats.timer = setTimeout(drawStats, DRAW_MS);
}

/* ---- what can be done */

/* Buttons that stay pressed. */
function toggle(id, isOn)
{
	at(id).setAttribute("aria-pressed", isOn);
}

function toggleStats()
{
	at("stats").hidden = !at("stats").hidden;
	toggle("do-stats", !at("stats").hidden);
	drawStats();
}

async function toggleSettings()
{
	const panel = at("settings");

	panel.hidden = !panel.hidden;
	toggle("do-settings", !panel.hidden);
	if (panel.hidden)
		return at("do-settings").focus();
	panel.focus();
	settings.say("");
	await settings.reload();
}

function toggleActual()
{
	toggle("do-actual", document.body.classList.toggle("actual"));
	stage.fit();
}

function toggleFullScreen()
{
	if (document.fullscreenElement)
		document.exitFullscreen();
	else if (document.fullscreenEnabled)
		at("view").requestFullscreen();
}

function save()
{
	const when = new Date().toISOString().slice(0, 19).replaceAll(":", "-");

	make("a", { href: here("snapshot"), download: `hdmicast-${when}Z.jpg` }).click();
}

async function askForKey()
{
	try {
		await requestKey();
		settings.say("Key frame requested.");
	} catch (error) {
		settings.say(error.message, true);
	}
}

/* Each is a button "do-…" whose tooltip names its key. */
const actions = {
	f: ["full", toggleFullScreen],
	a: ["actual", toggleActual],
	p: ["save", save],
	s: ["stats", toggleStats],
	c: ["settings", toggleSettings],
};

function onKey(event)
{
	const isTyping = event.target.matches?.("input, select") && event.key !== "Escape";

	if (isTyping || event.repeat || event.ctrlKey || event.altKey || event.metaKey)
		return;
	if (event.key === "Escape" && !at("settings").hidden)
		toggleSettings();
	else
		actions[event.key.toLowerCase()]?.[1]();
}

/* Nobody looks at a hidden tab: without viewers the machine need not encode. */
function onVisible()
{
	if (document.hidden)
		return player.stop();
	player.start();
	poll();
}

for (const [name, act] of Object.values(actions))
	at(`do-${name}`).addEventListener("click", act);
at("do-full").hidden = !document.fullscreenEnabled;
at("view").addEventListener("dblclick", (event) => {
	if (event.target.matches("canvas, video, #view"))
		toggleFullScreen();
});
at("key").addEventListener("click", askForKey);
at("close").addEventListener("click", toggleSettings);
document.addEventListener("keydown", onKey);
document.addEventListener("visibilitychange", onVisible);
addEventListener("resize", () => stage.fit());
/* Sooner than the poll notices. */
player.away = () => poll();

if (!document.hidden)
	player.start();
clock.start();
poll();
