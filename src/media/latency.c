// SPDX-License-Identifier: GPL-3.0-or-later
/* Where a picture's time goes: see latency.h. */
#include "media/latency.h"

#include "base/util.h"

static const char *const names[STAGES] = {
	[STAGE_GRAB] = "grab",
	[STAGE_WAIT] = "wait",
	[STAGE_CONVERT] = "convert",
	[STAGE_ENCODE] = "encode",
	[STAGE_PUBLISH] = "publish",
	[STAGE_SEND] = "send",
};

const char *latency_name(enum latency_stage stage)
{
	return names[stage];
}

static void note_encoding(struct latency *latency, const struct frame *frame)
{
	int64_t begin_ns = frame->encode_begin_ns, work_ns = frame->convert_begin_ns;

	histogram_add(&latency->stage[STAGE_WAIT],
		(work_ns ? work_ns : begin_ns) - frame->grabbed_ns);
	if (work_ns)
		histogram_add(&latency->stage[STAGE_CONVERT], begin_ns - work_ns);
	histogram_add(&latency->stage[STAGE_ENCODE], frame->encode_end_ns - begin_ns);
}

void latency_note_published(struct latency *latency, const struct frame *frame)
{
	int64_t done_ns = frame->encode_begin_ns ? frame->encode_end_ns : frame->grabbed_ns;

	atomic_fetch_add_explicit(&latency->frames, 1, memory_order_relaxed);
	if (!frame->online)
		return;
	histogram_add(&latency->stage[STAGE_GRAB], frame->grabbed_ns - frame->captured_ns);
	if (frame->encode_begin_ns)
		note_encoding(latency, frame);
	histogram_add(&latency->stage[STAGE_PUBLISH], frame->published_ns - done_ns);
	histogram_add(&latency->published, frame->published_ns - frame->captured_ns);
}

void latency_begin_sending(struct latency_sending *sending, const struct frame *frame)
{
	sending->captured_ns = frame->captured_ns;
	sending->published_ns = frame->online ? frame->published_ns : 0;
}

void latency_note_sent(struct latency *latency, struct latency_sending *sending)
{
	int64_t now;

	if (!sending->published_ns)
		return;
	now = now_ns();
	histogram_add(&latency->stage[STAGE_SEND], now - sending->published_ns);
	histogram_add(&latency->sent, now - sending->captured_ns);
	sending->published_ns = 0;
}
