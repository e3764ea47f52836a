// SPDX-License-Identifier: GPL-2.0-only
/* The node: loading, opening, and their ends. See pcm264.h. */
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>

#include "parameters.h"
#include "pcm264.h"

static struct pcm264 device;
static struct platform_device *platform;

static void free_instance(struct instance *instance)
{
	v4l2_ctrl_handler_free(&instance->controls);
	v4l2_fh_exit(&instance->fh);
	queue_free_pictures(instance);
	kfree(instance);
}

static int open(struct file *file)
{
	struct instance *instance = kzalloc(sizeof(*instance), GFP_KERNEL);
	int res;

	if (!instance)
		return -ENOMEM;
	instance->device = &device;
	queue_init_work(instance);
	v4l2_fh_init(&instance->fh, &device.node);
	file->private_data = &instance->fh;
	instance->fh.m2m_ctx = v4l2_m2m_ctx_init(device.m2m, instance, queue_init);
	if (IS_ERR(instance->fh.m2m_ctx)) {
		res = PTR_ERR(instance->fh.m2m_ctx);
		free_instance(instance);
		return res;
	}
	res = controls_init(instance);
	if (res) {
		v4l2_m2m_ctx_release(instance->fh.m2m_ctx);
		free_instance(instance);
		return res;
	}
	ioctl_set_defaults(instance);
	v4l2_fh_add(&instance->fh);
	return 0;
}

static int release(struct file *file)
{
	struct instance *instance = instance_of(file);

	v4l2_fh_del(&instance->fh);
	mutex_lock(&device.lock);
	v4l2_m2m_ctx_release(instance->fh.m2m_ctx);
	mutex_unlock(&device.lock);
	free_instance(instance);
	return 0;
}

static const struct v4l2_file_operations file_ops = {
	.owner = THIS_MODULE,
	.open = open,
	.release = release,
	.poll = v4l2_m2m_fop_poll,
	.unlocked_ioctl = video_ioctl2,
	.mmap = v4l2_m2m_fop_mmap,
};

static int add_node(void)
{
	bool single = parameters.single_planar;

	device.node = (struct video_device){
		.v4l2_dev = &device.v4l2,
		.vfl_dir = VFL_DIR_M2M,
		.fops = &file_ops,
		.ioctl_ops = single ? &ioctl_single_planar : &ioctl_multi_planar,
		.device_caps = V4L2_CAP_STREAMING |
			       (single ? V4L2_CAP_VIDEO_M2M : V4L2_CAP_VIDEO_M2M_MPLANE),
		.lock = &device.lock,
		.release = video_device_release_empty,
		.minor = -1,
	};
	strscpy(device.node.name, parameters.card, sizeof(device.node.name));
	return video_register_device(&device.node, VFL_TYPE_VIDEO, parameters.video_nr);
}

static int add_device(void)
{
	int res;

	mutex_init(&device.lock);
	strscpy(device.v4l2.name, PCM264_NAME, sizeof(device.v4l2.name));
	res = v4l2_device_register(&platform->dev, &device.v4l2);
	if (res)
		return res;
	device.m2m = v4l2_m2m_init(&queue_work_ops);
	device.works = alloc_ordered_workqueue(PCM264_NAME, 0);
	if (!IS_ERR(device.m2m) && device.works)
		res = add_node();
	else
		res = -ENOMEM;
	if (!res)
		return 0;
	if (device.works)
		destroy_workqueue(device.works);
	if (!IS_ERR(device.m2m))
		v4l2_m2m_release(device.m2m);
	v4l2_device_unregister(&device.v4l2);
	return res;
}

static int __init load(void)
{
	int res;

	platform = platform_device_register_simple(PCM264_NAME, PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(platform))
		return PTR_ERR(platform);
	res = add_device();
	if (res)
		platform_device_unregister(platform);
	return res;
}

static void __exit unload(void)
{
	video_unregister_device(&device.node);
	destroy_workqueue(device.works);
	v4l2_m2m_release(device.m2m);
	v4l2_device_unregister(&device.v4l2);
	platform_device_unregister(platform);
}

module_init(load);
module_exit(unload);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lossless H.264 encoder for tests");
