/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "controls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct control *control_find(struct device *dev, uint32_t id)
{
	for (unsigned i = 0; i < dev->n_controls; i++)
		if (dev->controls[i].id == id)
			return &dev->controls[i];
	return NULL;
}

/* Controls are listed by growing id. */
static struct control *find_or_next(struct device *dev, uint32_t id)
{
	uint32_t flags = V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND;

	if (!(id & flags))
		return control_find(dev, id);
	for (unsigned i = 0; (id & V4L2_CTRL_FLAG_NEXT_CTRL) && i < dev->n_controls; i++)
		if (dev->controls[i].id > (id & ~flags))
			return &dev->controls[i];
	return NULL;
}

static int query(struct handle *h, void *arg)
{
	struct v4l2_queryctrl *q = arg;
	const struct control *c = h->meta ? NULL : find_or_next(h->dev, q->id);

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
	const struct control *c = h->meta ? NULL : find_or_next(h->dev, q->id);

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
	const struct control *c = control_find(h->dev, q->id);

	if (!c || !c->menu || q->index > (uint32_t)c->max)
		return -EINVAL;
	snprintf((char *)q->name, sizeof(q->name), "%s", c->menu[q->index]);
	q->reserved = 0;
	return 0;
}

/* Integers are clamped and rounded to the step; menus are refused. */
static int set_value(struct control *c, int32_t *value)
{
	int32_t v = *value;

	if (c->flags & V4L2_CTRL_FLAG_READ_ONLY)
		return -EACCES;
	if (c->type == V4L2_CTRL_TYPE_MENU && (v < c->min || v > c->max))
		return -ERANGE;
	if (c->type == V4L2_CTRL_TYPE_BOOLEAN)
		v = !!v;
	if (v < c->min)
		v = c->min;
	if (v > c->max)
		v = c->max;
	if (c->step > 1)
		v = c->min + (v - c->min + c->step / 2) / c->step * c->step;
	*value = c->value = v;
	return 0;
}

static int get(struct handle *h, void *arg)
{
	struct v4l2_control *ctrl = arg;
	const struct control *c = h->meta ? NULL : control_find(h->dev, ctrl->id);

	if (!c)
		return -EINVAL;
	ctrl->value = c->value;
	return 0;
}

static int set(struct handle *h, void *arg)
{
	struct v4l2_control *ctrl = arg;
	struct control *c = h->meta ? NULL : control_find(h->dev, ctrl->id);

	return c ? set_value(c, &ctrl->value) : -EINVAL;
}

/* error_idx names the control at fault; equal to count if nothing was tried. */
static int each(struct handle *h, struct v4l2_ext_controls *list, bool write)
{
	for (uint32_t i = 0; i < list->count; i++) {
		struct control *c = control_find(h->dev, list->controls[i].id);
		int32_t value = write ? list->controls[i].value : 0;
		int res = c ? 0 : -EINVAL;

		if (c && write)
			res = set_value(c, &value);
		if (c && res == 0)
			list->controls[i].value = write ? value : c->value;
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
