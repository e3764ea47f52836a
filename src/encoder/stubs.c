// SPDX-License-Identifier: GPL-3.0-or-later
/* Stand-ins until the real ones are linked; they give way to those (weak symbols). */
#include "encoder/encoder.h"
#include "util.h"
#define WEAK __attribute__((weak))
WEAK int picture_converter_create(struct picture_converter **out) { *out = NULL; return 0; }
WEAK void picture_converter_destroy(struct picture_converter *c) { (void)c; }
WEAK int picture_convert(struct picture_converter *c, struct picture *to, const struct frame *f, bool t, const char **why)
{ (void)c; (void)to; (void)f; (void)t; *why = "stub"; return -ENOTSUP; }
WEAK size_t picture_lay_out(struct picture *p, uint8_t *m, uint32_t s, uint32_t r) { (void)p; (void)m; (void)s; (void)r; return 0; }
WEAK bool picture_can_be(uint32_t f) { (void)f; return false; }
static int open_none(struct encoder **out, const struct encoder_config *c) { (void)out; (void)c; return -ENODEV; }
WEAK const struct encoder_ops encoder_m2m = { .name = "m2m", .open = open_none };
#ifdef WITH_X264
WEAK const struct encoder_ops encoder_x264 = { .name = "x264", .open = open_none };
#endif
