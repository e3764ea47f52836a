// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The panel in which settings are changed while the picture runs. What there is, and within which
 * limits, is what GET /settings says; a change is sent when it is made, and takes effect at once.
 */

/* What most people want to change, under names they know, and in this order. The rest follows. */
const SETTINGS_FIRST = new Map([
	["h264-bitrate", "Bit rate"],
	["desired-fps", "Frame rate"],
	["quality", "JPEG quality"],
	["h264-gop", "Key frame every"],
]);
const SLIDER_STEPS = 20000; /* a longer range is no use as a slider */

/* The headers that the daemon wants to see before it changes anything. */
function send(method, address, body)
{
	return ask(address, { method, headers: { "Content-Type": "application/json" },
		body: JSON.stringify(body) });
}

async function requestKey()
{
	const reply = await send("POST", "keyframe", {});

	if (!reply.ok)
		throw new Error(`Not granted (${reply.status}).`);
}

function make(tag, properties = {}, ...children)
{
	const element = Object.assign(document.createElement(tag), properties);

	element.append(...children);
	return element;
}

function titleOf(name)
{
	const words = name.replace(/^h264-/, "H.264 ").replaceAll("-", " ");

	return SETTINGS_FIRST.get(name) || words[0].toUpperCase() + words.slice(1);
}

const settings = {
	inputs: new Map(), /* by name: { set(value), element } */

	async load()
	{
		const reply = await ask("settings");

		if (!reply.ok)
			throw new Error(`settings: ${reply.status}`);
		this.show((await reply.json()).result);
	},

	show({ writable, settings: list })
	{
		const known = [...this.inputs.keys()].join(), names = Object.keys(list);

		if (known !== names.join())
			this.build(list);
		for (const [name, input] of this.inputs)
			input.set(list[name].value);
		for (const input of at("fields").querySelectorAll("input, select"))
			input.disabled = !writable;
		at("readonly").hidden = writable;
	},

	build(list)
	{
		const first = [], picture = [], rest = [];

		this.inputs.clear();
		for (const name of Object.keys(list)) {
			const row = this.makeRow(name, list[name]);

			(SETTINGS_FIRST.has(name) ? first : list[name].control ? picture : rest).push(row);
		}
		first.sort((a, b) => a.dataset.order - b.dataset.order);
		at("fields").replaceChildren(...first,
			...this.makeGroup("Picture controls of the grabber", picture),
			...this.makeGroup("More", rest));
	},

	makeGroup(title, rows)
	{
		return rows.length ?
			[make("details", {}, make("summary", { textContent: title }), ...rows)] : [];
	},

	makeRow(name, setting)
	{
		const id = `set-${name}`, label = make("label", { htmlFor: id, textContent: titleOf(name) });
		const row = make("div", { className: "row", title: this.explain(name, setting) }, label);
		const input = this.makeInput(name, setting, row);

		input.element.id = id;
		row.dataset.order = [...SETTINGS_FIRST.keys()].indexOf(name);
		this.inputs.set(name, input);
		return row;
	},

	explain(name, { text, unit, min, max, rebuilds, default: usual })
	{
		const range = min === undefined ? "" : `${min} to ${max}${unit ? ` ${unit}` : ""}`;
		const parts = [`--${name}: ${text || ""}`, range, `default ${usual}`,
			rebuilds ? "the encoder starts anew" : ""];

		return parts.filter(Boolean).join("; ");
	},

	makeInput(name, setting, row)
	{
		return setting.type === "choice" ? this.makeChoice(name, setting, row) :
			this.makeNumber(name, setting, row);
	},

	makeChoice(name, { choices }, row)
	{
		const element = make("select", {}, ...choices.map((choice) => new Option(choice)));

		element.addEventListener("change", () => this.change(name, element.value));
		row.append(element);
		return { element, set: (value) => { element.value = value; } };
	},

	/* A slider to feel one's way, a number to be exact. */
	makeNumber(name, { min, max, step = 1, unit = "" }, row)
	{
		const number = make("input", { type: "number", min, max, step });
		const slider = make("input", { type: "range", min, max, step });
		const both = max - min > SLIDER_STEPS * step ? [number] : [slider, number];

		slider.setAttribute("aria-label", titleOf(name));
		slider.addEventListener("input", () => { number.value = slider.value; });
		for (const input of both)
			input.addEventListener("change", () => this.changeNumber(name, input));
		row.append(...both, make("span", { className: "unit", textContent: unit }));
		return { element: number, set: (value) => { number.value = slider.value = value; } };
	},

	changeNumber(name, input)
	{
		if (input.value === "" || !input.validity.valid) {
			this.say(`${titleOf(name)}: ${input.min} to ${input.max}.`, true);
			return this.reload();
		}
		this.change(name, Number(input.value));
	},

	async change(name, value)
	{
		try {
			const reply = await send("PATCH", "settings", { [name]: value });
			const answer = await reply.json();

			if (answer.ok) {
				this.show(answer.result);
				this.say(`${titleOf(name)} changed.`);
			} else {
				this.say(answer.error.text, true);
				await this.reload();
			}
		} catch (error) {
			this.say("hdmicast did not answer.", true);
		}
	},

	/* As it is in force, whoever changed it. */
	async reload()
	{
		try {
			await this.load();
		} catch (error) {
			this.say("hdmicast does not tell its settings.", true);
		}
	},

	say(text, isBad = false)
	{
		setText("said", text);
		at("said").classList.toggle("bad", isBad);
	},
};
