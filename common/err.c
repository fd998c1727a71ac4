/* Owns the error value's text handling. */
#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What is cut off at its end may end inside of a character of UTF-8: those bytes go, for JSON takes none of them. */
static void trim(char *msg)
{
	size_t len = strlen(msg), n = 0;
	while (n < 3 && n < len && ((unsigned char)msg[len - 1 - n] & 0xC0) == 0x80)
		n++;
	unsigned char lead = n < len ? (unsigned char)msg[len - 1 - n] : 0;
	size_t need = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
	if (need > n)
		msg[len - 1 - n] = '\0';
}

enum err_code err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	if (!e)
		return code;
	e->code = code;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	trim(e->msg);
	return code;
}

enum err_code err_wrap(struct err *e, const char *fmt, ...)
{
	if (!e)
		return ERR_INTERNAL;
	struct err old = *e;
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	size_t at = n < 0 ? 0 : (size_t)n;
	if (at + 2 < sizeof(e->msg)) {
		memcpy(e->msg + at, ": ", 3);
		size_t room = sizeof(e->msg) - at - 3, len = strlen(old.msg);
		len = len < room ? len : room;
		memcpy(e->msg + at + 2, old.msg, len);
		e->msg[at + 2 + len] = '\0';
	}
	trim(e->msg);
	return e->code;
}

const char *err_name(enum err_code code)
{
	static const char *const names[] = {
	    [ERR_OK] = "ok",		  [ERR_INVALID] = "invalid",
	    [ERR_LIMIT] = "limit",	  [ERR_NOT_FOUND] = "notFound",
	    [ERR_REFUSED] = "refused",	  [ERR_EXPIRED] = "expired",
	    [ERR_TIMEOUT] = "timeout",	  [ERR_UNAVAILABLE] = "unavailable",
	    [ERR_INTERNAL] = "internal",
	};
	return (size_t)code < ARRAY_LEN(names) ? names[code] : "internal";
}
