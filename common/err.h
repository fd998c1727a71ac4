/* The error value: fixed size, lives on the caller's stack, so reporting cannot fail or leak. */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include <stdint.h>

#include "common/attr.h"

enum err_code {
	ERR_OK = 0,
	ERR_INVALID,	 /* the caller's or the peer's input is wrong */
	ERR_LIMIT,	 /* a named limit was reached */
	ERR_NOT_FOUND,
	ERR_REFUSED,	 /* a rule or a credential says no */
	ERR_EXPIRED,
	ERR_TIMEOUT,
	ERR_UNAVAILABLE, /* a dependency did not answer: worth another try */
	ERR_INTERNAL	 /* our own bug, or the machine is out of something */
};

struct err {
	enum err_code code;
	char msg[508];
};

/* Sets code and text (truncated to fit, never inside of a character) and returns the code. E may be NULL. The text
 * never holds a secret: it goes to logs and to peers. */
enum err_code err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF(3, 4);

/* Puts "PREFIX: " before the text that is there and returns the code that is there. */
enum err_code err_wrap(struct err *e, const char *fmt, ...) PRINTF(2, 3);

/* A short stable word for a code ("invalid", "unavailable", …) for logs and metrics. */
const char *err_name(enum err_code code);

#define TRY(expr)                                                                                  \
	do {                                                                                       \
		enum err_code try_ = (expr);                                                       \
		if (try_ != ERR_OK)                                                                \
			return try_;                                                               \
	} while (0)

#endif
