#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Give the kernel's dummy_hcd isochronous transfers, which it refuses.

usage: derive.py LINUX_SOURCE OUTPUT_DIRECTORY

usb_f_uvc has isochronous endpoints only, so without this no gadget can stream
to uvcvideo on a machine without USB hardware. Two parameters are added to the
module: `iso_mult` (packets per service interval) and `fail_urbs` (how many of
the next isochronous URBs end with EPROTO, as on a bad cable).

Every edit must match the exact number of times expected: a kernel update that
moves the code stops the build here and not in a strange test failure.
"""

import re
import sys
from pathlib import Path

SOURCE = "drivers/usb/gadget/udc/dummy_hcd.c"

ISO_TRANSFER = r"""
static unsigned int iso_mult = 1;
module_param(iso_mult, uint, 0644);
MODULE_PARM_DESC(iso_mult, "isochronous packets per service interval (1 = as a real bus)");

static unsigned int fail_urbs;
module_param(fail_urbs, uint, 0644);
MODULE_PARM_DESC(fail_urbs, "number of next isochronous URBs to fail with EPROTO");

static int iso_packets_per_tick(struct dummy *dum, struct dummy_ep *ep)
{
	int intervals = dum->gadget.speed >= USB_SPEED_HIGH ? 8 : 1;

	intervals >>= clamp_t(int, ep->desc->bInterval, 1, 4) - 1;
	return max(intervals, 1) * max(iso_mult, 1U);
}

static void iso_move_packet(struct dummy *dum, struct urb *urb, struct dummy_ep *ep,
			    struct usb_iso_packet_descriptor *packet)
{
	struct dummy_request *req;

	packet->actual_length = 0;
	packet->status = 0;
	req = list_first_entry_or_null(&ep->queue, struct dummy_request, queue);
	if (!req)
		return;		/* nothing to send: an empty packet */

	packet->actual_length = min_t(unsigned int, req->req.length, packet->length);
	if (req->req.length > packet->length)
		packet->status = -EOVERFLOW;
	if (usb_urb_dir_in(urb))
		memcpy(urb->transfer_buffer + packet->offset, req->req.buf, packet->actual_length);
	else
		memcpy(req->req.buf, urb->transfer_buffer + packet->offset, packet->actual_length);
	urb->actual_length += packet->actual_length;

	req->req.actual = packet->actual_length;
	req->req.status = 0;
	list_del_init(&req->queue);
	dummy_giveback(dum, &ep->ep, req);
}

/*
 * Move isochronous packets, at most the endpoint's share of this 1 ms tick; caller owns the lock.
 * Returns 0 when the URB is finished, -EINPROGRESS when not, -EPROTO when it is to fail.
 */
static int iso_transfer(struct dummy *dum, struct urbp *urbp, struct dummy_ep *ep)
{
	struct urb *urb = urbp->urb;

	if (fail_urbs) {
		fail_urbs--;
		return -EPROTO;
	}
	if (ep->iso_budget < 0)
		ep->iso_budget = iso_packets_per_tick(dum, ep);
	for (; urbp->iso_pos < urb->number_of_packets && ep->iso_budget > 0; ep->iso_budget--)
		iso_move_packet(dum, urb, ep, &urb->iso_frame_desc[urbp->iso_pos++]);
	ep->last_io = jiffies;
	return urbp->iso_pos >= urb->number_of_packets ? 0 : -EINPROGRESS;
}

"""

# Newer 6.1 kernels have this themselves.
GIVEBACK = r"""
static void dummy_giveback(struct dummy *dum, struct usb_ep *ep, struct dummy_request *req)
{
	spin_unlock(&dum->lock);
	usb_gadget_giveback_request(ep, &req->req);
	spin_lock(&dum->lock);
}
"""

# (what it does, pattern, replacement, how often it must match)
EDITS = [
    ("offer the isochronous endpoints",
     r'/\*\n(\tEP_INFO\("ep\d+in-iso".*?)\*/\n', r"\1", 3),
    ("remember how many packets an endpoint may move in this tick",
     r"(\tunsigned\t+already_seen:1;\n)", r"\1\tint iso_budget;\n", 1),
    ("renew that number with every tick",
     r"(\t\tdum->ep\[i\]\.already_seen = 0;\n)", r"\1\t\tdum->ep[i].iso_budget = -1;\n", 1),
    ("remember how far an URB has come",
     r"(struct urbp \{\n)", r"\1\tint iso_pos;\n", 1),
    ("start an URB at its first packet",
     r"(\turbp->urb = urb;\n)", r"\1\turbp->iso_pos = 0;\n", 1),
    ("move the packets instead of failing",
     r"(case PIPE_ISOCHRONOUS:\n)\t\t\t/\*\n\t\t\t \* We don't support iso.*?break;\n",
     r"\1\t\t\tstatus = iso_transfer(dum, urbp, ep);\n\t\t\tbreak;\n", 1),
    ("add the transfer itself",
     r"(/\* transfer up to a frame's worth; caller must own lock \*/\n)",
     lambda match: ISO_TRANSFER + match.group(1), 1),
]


def main():
    source, output = Path(sys.argv[1]), Path(sys.argv[2])
    text = (source / SOURCE).read_text()
    giveback = "" if "dummy_giveback(" in text else GIVEBACK
    for what, pattern, replacement, expected in EDITS:
        text, count = re.subn(pattern, replacement, text, flags=re.S)
        if count != expected:
            sys.exit(f"{SOURCE}: to {what}: {count} places found, {expected} expected")
    text = text.replace(ISO_TRANSFER, giveback + ISO_TRANSFER)
    (output / "dummy_hcd.c").write_text(text)


if __name__ == "__main__":
    main()
