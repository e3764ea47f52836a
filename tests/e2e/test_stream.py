# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures: none lost, doubled, out of order or damaged, at the right rate and evenly spaced."""

import threading

from harness import (LONG, Daemon, check, decode, equal, figure, jpeg_size, no_rates, rate_of, stamps, test, wait_until)

OURS = None if LONG else 1  # the clock, where no picture may be lost


def follow(daemon, count, fps=30):
    """So many pictures as they come, after the first ones. On a clock of ours each is there before the next one is due:
    of pictures that wait the newest wins.
    """
    with daemon.stream("extra_headers=1") as stream:
        stream.wait_part(lambda part: part.online, "the first picture")
        if not daemon.clock:
            for _ in stream.parts(20):
                pass
            return list(stream.parts(count))
        daemon.clock.stop()
        turns = [take_next(daemon, stream, fps) for _ in range(3 + count)]
        return [part for turn in turns[3:] for part in turn]


def take_next(daemon, stream, fps):
    """All up to the one that is due now, which is one."""
    seen_ns, parts = daemon.clock.now_ns(), []
    daemon.clock.step(1 / fps)
    while not parts or parts[-1].time_ns("Grab-Begin") <= seen_ns:
        parts.append(stream.part())
    return parts


def check_numbers(numbers, first_step=1):
    """Each one more than the one before."""
    steps = [b - a for a, b in zip(numbers, numbers[1:])]
    check(0 not in steps, "a picture came twice")
    check(min(steps) > 0, "a picture came after a later one")
    lost = [step for step in steps if step != first_step]
    check(not lost, f"{sum(lost) - len(lost)} of {len(numbers)} pictures are missing")


@test(measures=True)
def every_mjpeg_picture_arrives_once_and_in_order():
    with Daemon("--format", "MJPEG", "--resolution", "1920x1080", "--desired-fps", 30, fake="uvc", clock=OURS) as daemon:
        parts = follow(daemon, 180 if LONG else 40)
        numbers = stamps([part.body for part in parts])
        check_numbers(numbers)
        equal(jpeg_size(parts[0].body), (1920, 1080), "the size")
        equal(daemon.drops(), {}, "drops")
        no_rates()
        rate, gap = rate_of([part.received_ns for part in parts])
        figure(f"MJPEG 1080p30: {rate:.2f} fps, longest gap {gap:.0f} ms, {len(parts)} pictures")
        check(29.5 <= rate <= 30.5, f"{rate:.2f} fps")


def check_latency(parts, limit_ms, what):
    ages = sorted((part.received_ns - part.time_ns("Grab-Begin")) / 1e6 for part in parts)
    middle, most = ages[len(ages) // 2], ages[len(ages) * 95 // 100]
    figure(f"{what}: capture to client {middle:.1f} ms (median), {most:.1f} ms (95 %)")
    check(middle < limit_ms, f"{middle:.1f} ms from capture to client")


@test(long=True)
def mjpeg_reaches_the_client_at_once():
    with Daemon("--format", "MJPEG", "--resolution", "1920x1080", "--desired-fps", 30, fake="uvc") as daemon:
        no_rates()
        check_latency(follow(daemon, 60), 10, "MJPEG 1080p30")


@test(measures=True)
def raw_pictures_are_encoded_in_order_and_none_is_stale():
    with Daemon("--format", "YUYV", "--resolution", "1280x720", "--desired-fps", 30, fake="uvc", clock=OURS) as daemon:
        parts = follow(daemon, 90 if LONG else 30)
        check_numbers(stamps([part.body for part in parts]))
        equal(jpeg_size(parts[0].body), (1280, 720), "the size")
        equal(daemon.state()["encoder"]["type"], "CPU", "the encoder")
        no_rates()
        rate, gap = rate_of([part.received_ns for part in parts])
        figure(f"YUYV 720p30 encoded: {rate:.2f} fps, longest gap {gap:.0f} ms")
        check_latency(parts, 40, "YUYV 720p30 encoded")


@test
def every_format_of_the_grabbers_is_shown():
    formats = {"YUYV": "YUYV", "YVYU": "YVYU", "UYVY": "UYVY", "NV12": "NV12", "NV21": "NV21", "NV16": "NV16",
               "NV24": "NV24", "YUV420": "YU12", "YVU420": "YV12", "RGB24": "RGB3", "BGR24": "BGR3",
               "RGB565": "RGBP", "GREY": "GREY", "MJPEG": "MJPG", "JPEG": "JPEG"}
    for ours, fourcc in formats.items():
        with Daemon("--format", ours, "--resolution", "640x480", fake=f"uvc:fps=30,fmt={fourcc}", clock=1) as daemon, \
                daemon.stream("extra_headers=1") as stream:
            daemon.clock.stretch(6)
            stream.wait_part(lambda part: part.online, f"{ours} is shown")
            equal(daemon.source()["format"], fourcc, "the format")
            numbers = stamps([part.body for part in stream.parts(4)])
            check(numbers == sorted(set(numbers)) and numbers[-1] - numbers[0] < 100, f"{ours}: {numbers}")


@test
def hdmi_pictures_come_in_order():
    with Daemon("--format", "UYVY", fake="csi:edid=set,signal=1280x720@30", node="/dev/fake-csi") as daemon:
        daemon.wait_state("online")
        parts = follow(daemon, 30)
        numbers = stamps([part.body for part in parts])
        check(numbers == sorted(set(numbers)), "a picture came twice or after a later one")
        equal(jpeg_size(parts[0].body), (1280, 720), "the size")


@test
def the_device_may_answer_with_another_name_of_jpeg():
    with Daemon("--format", "JPEG", "--resolution", "640x480", fake="uvc") as daemon:
        daemon.wait_state("online")
        equal(daemon.source()["format"], "MJPG", "the format")
        equal(jpeg_size(daemon.get("/snapshot").body), (640, 480), "the size")


@test
def the_device_may_give_another_format_and_size():
    with Daemon("--format", "RGB24", "--resolution", "1000x700", fake="uvc:fmt=YUYV") as daemon:
        daemon.wait_state("online")
        equal(daemon.source()["format"], "YUYV", "the format")
        reply = daemon.get("/snapshot")
        size = jpeg_size(reply.body)
        equal(size, (int(reply.headers["x-ustreamer-width"]), int(reply.headers["x-ustreamer-height"])), "the size")
        check(size != (1000, 700), "the fake gave what it has not")


def measure_limit(source_fps, limit, least, outcome):
    """Rates are taken from the capture times, which neither network nor reader can disturb."""
    fake = f"uvc:fps={source_fps},rates=60"
    with Daemon("--format", "MJPEG", "--resolution", "640x480", "--desired-fps", limit, fake=fake) as daemon:
        times = [part.time_ns("Grab-Begin") for part in follow(daemon, 6 * limit)]
        rate, gap = rate_of(times)
        most = 1e3 / limit + 1e3 / source_fps + 5
        outcome[source_fps] = (rate, gap, least <= rate <= limit + 0.5 and gap <= most)
        check(daemon.source()["skipped"] > 0, "nothing was skipped")


@test(long=True)
def limited_rates_are_exact_and_even():
    no_rates()
    outcome = {}
    limits = ((31, 30, 29.5), (61, 30, 29.5), (60, 25, 24.5))
    threads = [threading.Thread(target=measure_limit, args=(*limit, outcome)) for limit in limits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for source_fps, limit, _ in limits:
        rate, gap, _ = outcome[source_fps]
        figure(f"{source_fps} fps limited to {limit}: {rate:.2f} fps, longest gap {gap:.1f} ms")
    check(all(good for _, _, good in outcome.values()), f"(rate, longest gap in ms) are {outcome}")


@test
def a_limit_asks_the_device_for_a_slow_rate():
    with Daemon("--format", "MJPEG", "--resolution", "640x480", "--desired-fps", 10, fake="uvc") as daemon:
        parts = follow(daemon, 20)
        equal(daemon.source()["skipped"], 0, "skipped frames: the device can do 10 fps itself")
        no_rates()
        rate, _ = rate_of([part.time_ns("Grab-Begin") for part in parts])
        check(9.5 <= rate <= 10.5, f"{rate:.2f} fps")


@test(measures=True)
def a_slow_viewer_does_not_slow_the_others():
    with Daemon("--format", "MJPEG", "--resolution", "1280x720", "--desired-fps", 30, "--server-timeout", 60, fake="uvc",
                clock=OURS) as daemon, daemon.stream() as slow:
        slow.part()
        parts = follow(daemon, 90 if LONG else 30)
        check_numbers(stamps([part.body for part in parts]))
        if daemon.clock:
            daemon.clock.stretch(1)
        # What the slow one gets next is old by what the sockets hold; after that it is in order.
        numbers = stamps([part.body for part in slow.parts(40)])
        check(numbers == sorted(set(numbers)), "a picture came twice or after a later one")


@test
def viewers_come_and_go_without_a_trace():
    with Daemon("--format", "YUYV", "--resolution", "640x480", fake="uvc:fps=30") as daemon:
        def come_and_go():
            for _ in range(12):
                with daemon.stream("extra_headers=1") as stream:
                    for part in stream.parts(2):
                        check(part.online, "a card")
                daemon.get("/snapshot")

        def held():
            wait_until(lambda: daemon.state()["stream"]["clients"] == 0, "all are gone")
            return len(daemon.process.fds()), daemon.process.own_threads()

        def crowd():
            threads = [threading.Thread(target=come_and_go) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        crowd()  # what is made on demand is there after this
        before = held()
        crowd()
        wait_until(lambda: held() == before, f"as much as before is held: {before}, now {held()}")


@test
def nothing_is_encoded_for_nobody():
    with Daemon("--format", "YUYV", "--resolution", "1280x720", "--desired-fps", 30, fake="uvc") as daemon:
        def encoder_ns():
            return sum(int((daemon.process.root / "task" / str(tid) / "schedstat").read_text().split()[0])
                       for tid, name in daemon.process.threads().items() if name.startswith("jpeg"))

        def rests():
            """No encoder ran while ten frames were captured."""
            before, captured = encoder_ns(), daemon.source()["captured"]
            wait_until(lambda: daemon.source()["captured"] >= captured + 10, "ten frames")
            return encoder_ns() - before < 1_000_000

        daemon.wait_state("online")
        check(rests(), "an encoder runs before anybody came")
        with daemon.stream() as stream:
            list(stream.parts(5))
            check(encoder_ns() > 1_000_000, "the encoders' threads are not called jpeg")
        wait_until(rests, "no encoder runs after everybody left")


@test(measures=True)
def the_test_card_moves_and_counts():
    with Daemon("--source", "testcard", "--resolution", "640x480", "--desired-fps", 25, clock=OURS) as daemon:
        parts = follow(daemon, 50 if LONG else 25, fps=25)
        pictures = decode([part.body for part in parts])
        numbers = [code_of_card(picture, 640, 480) for picture in pictures]
        check_numbers(numbers)
        no_rates()
        rate, _ = rate_of([part.received_ns for part in parts])
        check(24.5 <= rate <= 25.5, f"{rate:.2f} fps")


def code_of_card(picture, width, height):
    """The number in the lowest 6 % of the test card: 32 cells, white is 1."""
    row = (height * 97 // 100) * width
    return sum((picture[row + width * (2 * bit + 1) // 64] > 127) << (31 - bit) for bit in range(32))
