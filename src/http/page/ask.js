// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What is asked of the daemon. Addresses are relative to the page's, but for the user and password
 * with which that may have been opened: fetch() refuses those, and browsers remember them anyway.
 */
"use strict";

function here(address)
{
	return new URL(address, location.origin + location.pathname).href;
}

function ask(address, options = {})
{
	return fetch(here(address), { cache: "no-store", ...options });
}
