// SPDX-License-Identifier: GPL-3.0-or-later
/* /controls: the capture device's V4L2 controls, as JSON; also those that no option sets. */
#include <linux/videodev2.h>

#include "http/endpoint.h"
#include "http/reply.h"

static const char *name_type(uint32_t type)
{
	switch (type) {
	case V4L2_CTRL_TYPE_INTEGER: return "int";
	case V4L2_CTRL_TYPE_BOOLEAN: return "bool";
	case V4L2_CTRL_TYPE_MENU:
	case V4L2_CTRL_TYPE_INTEGER_MENU: return "menu";
	case V4L2_CTRL_TYPE_BUTTON: return "button";
	case V4L2_CTRL_TYPE_BITMASK: return "bitmask";
	case V4L2_CTRL_TYPE_STRING: return "string";
	default: return "other";
	}
}

static const char *option_of(const struct source_control *control)
{
	return control->option < 0 || control->chooses ? NULL
						       : options_control_name(control->option);
}

static json_t *describe(const struct source_control *control)
{
	json_t *value = control->has_value ? json_integer(control->value) : json_null();
	uint32_t flags = control->flags;

	return json_pack("{s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:s?, s:b, s:b}", "id",
		(json_int_t)control->id, "name", control->name, "type", name_type(control->type),
		"min", (json_int_t)control->min, "max", (json_int_t)control->max, "step",
		(json_int_t)control->step, "default", (json_int_t)control->standard, "value", value,
		"option", option_of(control), "read_only", (flags & V4L2_CTRL_FLAG_READ_ONLY) != 0,
		"inactive", (flags & V4L2_CTRL_FLAG_INACTIVE) != 0);
}

static void handle(struct server *server, struct exchange *exchange, const struct request *req)
{
	json_t *list = json_array();
	struct source_controls controls;

	(void)req;
	device_controls_look(pipeline_device_controls(server->pipeline), &controls);
	/* A name that is not UTF-8 makes an entry that is left out. */
	for (unsigned i = 0; i < controls.count; i++)
		json_array_append_new(list, describe(&controls.control[i]));
	reply_json(exchange, 200,
		json_pack("{s:b, s:{s:s, s:o}}", "ok", 1, "result", "device", server->opt->device,
			"controls", list));
}

const struct endpoint endpoint_controls = {
	.path = "/controls",
	.methods = METHOD_GET,
	.handle = handle,
	.help = "the capture device's own controls, as JSON",
};
