/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "controls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct control *controls_of(struct handle *h, unsigned *n)
{
	*n = h->controls ? h->n_controls : h->dev->n_controls;
	return h->controls ? h->controls : h->dev->controls;
}

struct control *control_find(struct handle *h, uint32_t id)
{
	unsigned n;
	struct control *list = controls_of(h, &n);

	for (unsigned i = 0; i < n; i++)
		if (list[i].id == id)
			return &list[i];
	return NULL;
}

/* Controls are listed by growing id. */
static struct control *find_or_next(struct handle *h, uint32_t id)
{
	unsigned n;
	struct control *list = controls_of(h, &n);
	uint32_t flags = V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND;

	if (!(id & flags))
		return control_find(h, id);
	for (unsigned i = 0; (id & V4L2_CTRL_FLAG_NEXT_CTRL) && i < n; i++)
		if (list[i].id > (id & ~flags))
			return &list[i];
	return NULL;
}

static int query(struct handle *h, void *arg)
{
	struct v4l2_queryctrl *q = arg;
	const struct control *c = h->meta ? NULL : find_or_next(h, q->id);

	if (!c)
		return -EINVAL;
	*q = (struct v4l2_queryctrl){
		.id = c->id,
		.type = c->type,
		.minimum = c->min,
		.maximum = c->max,
		.step = c->step,
		.default_value = c->def,
		.flags = c->flags,
	};
	snprintf((char *)q->name, sizeof(q->name), "%s", c->name);
	return 0;
}

static int query_ext(struct handle *h, void *arg)
{
	struct v4l2_query_ext_ctrl *q = arg;
	const struct control *c = h->meta ? NULL : find_or_next(h, q->id);

	if (!c)
		return -EINVAL;
	*q = (struct v4l2_query_ext_ctrl){
		.id = c->id,
		.type = c->type,
		.minimum = c->min,
		.maximum = c->max,
		.step = (uint64_t)c->step,
		.default_value = c->def,
		.flags = c->flags,
		.elem_size = 4,
		.elems = 1,
	};
	snprintf(q->name, sizeof(q->name), "%s", c->name);
	return 0;
}

static int query_menu(struct handle *h, void *arg)
{
	struct v4l2_querymenu *q = arg;
	const struct control *c = control_find(h, q->id);

	if (!c || !c->menu || q->index > (uint32_t)c->max || q->index < (uint32_t)c->min ||
		(c->absent >> q->index & 1))
		return -EINVAL;
	snprintf((char *)q->name, sizeof(q->name), "%s", c->menu[q->index]);
	q->reserved = 0;
	return 0;
}

/* Integers are clamped and rounded to the step; menus are refused. */
static int fit(const struct control *c, int32_t *value)
{
	int64_t v = *value, step = c->step > 1 ? c->step : 1;

	if (c->flags & V4L2_CTRL_FLAG_READ_ONLY)
		return -EACCES;
	if (c->type == V4L2_CTRL_TYPE_MENU && (v < c->min || v > c->max))
		return -ERANGE;
	if (c->type == V4L2_CTRL_TYPE_MENU && (c->absent >> v & 1))
		return -EINVAL;
	if (c->type == V4L2_CTRL_TYPE_BOOLEAN)
		v = !!v;
	if (v < c->min)
		v = c->min;
	if (v > c->max)
		v = c->max;
	v = c->min + (v - c->min + step / 2) / step * step;
	*value = (int32_t)(v > c->max ? v - step : v);
	return 0;
}

/* A value that is there already does not get to the driver; a button always does (C10). */
static int set_value(struct handle *h, struct control *c, int32_t *value)
{
	const struct instance_ops *instance = h->dev->ops->instance;
	bool button = c->type == V4L2_CTRL_TYPE_BUTTON;
	int res = button ? 0 : fit(c, value);

	if (res < 0)
		return res;
	if (instance && (button || *value != c->value))
		res = instance->control(h, c, *value);
	if (res == 0 && !button)
		c->value = *value;
	return res;
}

static int get_value(const struct control *c, int32_t *value)
{
	if (c->flags & V4L2_CTRL_FLAG_WRITE_ONLY)
		return -EACCES;
	*value = c->value;
	return 0;
}

static int get(struct handle *h, void *arg)
{
	struct v4l2_control *ctrl = arg;
	const struct control *c = h->meta ? NULL : control_find(h, ctrl->id);

	return c ? get_value(c, &ctrl->value) : -EINVAL;
}

static int set(struct handle *h, void *arg)
{
	struct v4l2_control *ctrl = arg;
	struct control *c = h->meta ? NULL : control_find(h, ctrl->id);

	return c ? set_value(h, c, &ctrl->value) : -EINVAL;
}

/* error_idx names the control at fault; equal to count if nothing was tried. */
static int each(struct handle *h, struct v4l2_ext_controls *list, bool write)
{
	for (uint32_t i = 0; i < list->count; i++) {
		struct control *c = control_find(h, list->controls[i].id);
		int32_t value = write ? list->controls[i].value : 0;
		int res = -EINVAL;

		if (c)
			res = write ? set_value(h, c, &value) : get_value(c, &value);
		if (res == 0)
			list->controls[i].value = value;
		list->error_idx = write ? i : list->count;
		if (res < 0)
			return res;
	}
	return 0;
}

static int get_ext(struct handle *h, void *arg)
{
	return each(h, arg, false);
}

static int set_ext(struct handle *h, void *arg)
{
	return each(h, arg, true);
}

const struct ioctl_entry control_ioctls[] = {
	{ VIDIOC_QUERYCTRL, "queryctrl", query },
	{ VIDIOC_QUERY_EXT_CTRL, "query_ext_ctrl", query_ext },
	{ VIDIOC_QUERYMENU, "querymenu", query_menu },
	{ VIDIOC_G_CTRL, "g_ctrl", get },
	{ VIDIOC_S_CTRL, "s_ctrl", set },
	{ VIDIOC_G_EXT_CTRLS, "g_ext_ctrls", get_ext },
	{ VIDIOC_S_EXT_CTRLS, "s_ext_ctrls", set_ext },
	{ 0, NULL, NULL },
};
