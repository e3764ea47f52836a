// SPDX-License-Identifier: GPL-3.0-or-later
/* The options as they are now: see settings.h. */
#include "settings/settings.h"

#include "base/util.h"
#include "settings/settings_file.h"

#define LOG_TOPIC "settings"
#include "base/log.h"

struct settings {
	struct options given; /* by the command line */
	struct options now;
	struct settings_file *file; /* NULL: nothing is kept */
};

const struct options *settings_now(const struct settings *settings)
{
	return &settings->now;
}

/* ---- told */

static json_t *list_choices(int n)
{
	json_t *list = json_array();

	for (unsigned i = 0; options_choice(n, i); i++)
		json_array_append_new(list, json_string(options_choice(n, i)));
	return list;
}

static json_t *value_of(const struct options *opt, int n, const struct option_live *option)
{
	const struct option_control *control;

	if (option->is_choice)
		return json_string(options_get_word(opt, n));
	if (option->control < 0)
		return json_integer(options_get_number(opt, n));
	control = &opt->control[option->control];
	switch (control->mode) {
	case CONTROL_SET: return json_integer(control->value);
	case CONTROL_AUTO: return json_string("auto");
	case CONTROL_DEFAULT: return json_string("default");
	case CONTROL_KEEP: break;
	}
	return json_null();
}

static json_t *describe(const struct settings *settings, int n, const struct option_live *option)
{
	json_t *about = json_pack("{s:s, s:o, s:o, s:s, s:s}", "type",
		option->is_choice ? "choice" : "int", "value", value_of(&settings->now, n, option),
		"default", value_of(&settings->given, n, option), "text", option->text, "unit",
		option->unit);

	if (option->is_choice) {
		json_object_set_new(about, "choices", list_choices(n));
	} else {
		json_object_set_new(about, "min", json_integer(option->min));
		json_object_set_new(about, "max", json_integer(option->max));
	}
	if (option->rebuilds)
		json_object_set_new(about, "rebuilds", json_true());
	return about;
}

json_t *settings_describe(const struct settings *settings)
{
	json_t *all = json_object();
	struct option_live option;

	for (int n = options_next_live(-1); n >= 0; n = options_next_live(n)) {
		options_describe_live(n, &option);
		if (option.control < 0)
			json_object_set_new(all, option.name, describe(settings, n, &option));
	}
	return all;
}

/* ---- changed */

PRINTF(3, 4)
static bool refuse(struct settings_fault *fault, const char *field, const char *why, ...)
{
	va_list args;

	fault->field = field;
	va_start(args, why);
	vsnprintf(fault->text, sizeof(fault->text), why, args);
	va_end(args);
	return false;
}

json_t *settings_parse(const char *text, size_t size, struct settings_fault *fault)
{
	json_error_t error;
	json_t *changes = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

	if (!changes) {
		refuse(fault, NULL, "bad JSON in line %d, column %d: %s", error.line, error.column,
			error.text);
	} else if (!json_is_object(changes)) {
		refuse(fault, NULL, "not a JSON object, such as {\"h264-bitrate\": 5000}");
		json_decref(changes);
		changes = NULL;
	}
	return changes;
}

static bool refuse_unknown(struct settings_fault *fault, const char *name)
{
	char names[400] = "";
	struct option_live option;

	for (int n = options_next_live(-1); n >= 0; n = options_next_live(n)) {
		size_t used = strlen(names);

		options_describe_live(n, &option);
		snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "", option.name);
	}
	return refuse(fault, name, "no such setting; there are %s", names);
}

static bool set(struct options *opt, const char *name, const json_t *value,
	struct settings_fault *fault)
{
	int n = options_find_live(name);
	char text[256];
	bool ok = false;

	if (n < 0)
		return refuse_unknown(fault, name);
	if (json_is_integer(value))
		ok = options_set_number(opt, n, json_integer_value(value));
	else if (json_is_string(value))
		ok = options_set_word(opt, n, json_string_value(value));
	return ok || refuse(fault, name, "must be %s", options_allowed(n, text, sizeof(text)));
}

bool settings_plan(const struct settings *settings, json_t *changes, struct options *next,
	struct settings_fault *fault)
{
	const char *name, *why;
	json_t *value;

	*next = settings->now;
	json_object_foreach(changes, name, value)
	{
		if (!set(next, name, value, fault))
			return false;
	}
	name = options_contradiction(next, &why);
	return !name || refuse(fault, name, "%s", why);
}

bool settings_list_controls(json_t *changes, const struct options *next,
	struct option_control wish[CONTROLS])
{
	struct option_live option;
	const char *name;
	json_t *value;
	bool any = false;

	memset(wish, 0, CONTROLS * sizeof(*wish));
	json_object_foreach(changes, name, value)
	{
		options_describe_live(options_find_live(name), &option);
		if (option.control < 0)
			continue;
		wish[option.control] = next->control[option.control];
		any = true;
	}
	return any;
}

/* ---- kept */

/* What is another thing than the command line says. */
static json_t *list_changes(const struct settings *settings)
{
	json_t *changes = json_object();
	struct option_live option;

	for (int n = options_next_live(-1); n >= 0; n = options_next_live(n)) {
		json_t *now, *given;

		options_describe_live(n, &option);
		now = value_of(&settings->now, n, &option);
		given = value_of(&settings->given, n, &option);
		if (!json_equal(now, given))
			json_object_set(changes, option.name, now);
		json_decref(now);
		json_decref(given);
	}
	return changes;
}

static void keep(struct settings *settings)
{
	json_t *changes = list_changes(settings);
	char *text = json_dumps(changes, JSON_INDENT(2));

	json_decref(changes);
	if (text)
		settings_file_put(settings->file, text);
}

void settings_commit(struct settings *settings, const struct options *next)
{
	settings->now = *next;
	if (settings->file)
		keep(settings);
}

/* One setting that cannot be used, of an older version perhaps, costs no other. */
static void restore(struct settings *settings, json_t *kept)
{
	const char *dir = settings->given.state_dir, *name, *why;
	struct settings_fault fault;
	json_t *value;

	json_object_foreach(kept, name, value)
	{
		if (!set(&settings->now, name, value, &fault))
			log_warn("%s/" SETTINGS_FILE_NAME ": %s: %s; it is left out", dir, name,
				fault.text);
	}
	name = options_contradiction(&settings->now, &why);
	if (!name)
		return;
	log_warn("%s/" SETTINGS_FILE_NAME ": %s %s; all of it is left out", dir, name, why);
	settings->now = settings->given;
}

void settings_create(struct settings **out, struct options *opt)
{
	struct settings *settings = xcalloc(1, sizeof(*settings));
	json_t *kept;

	settings->given = settings->now = *opt;
	if (*opt->state_dir) {
		kept = settings_file_load(opt->state_dir);
		restore(settings, kept);
		json_decref(kept);
		settings_file_create(&settings->file, opt->state_dir);
	}
	*opt = settings->now;
	*out = settings;
}

void settings_destroy(struct settings *settings)
{
	if (!settings)
		return;
	settings_file_destroy(settings->file);
	free(settings);
}
