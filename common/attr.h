/* Compiler attributes and ownership macros used everywhere. */
#ifndef COMMON_ATTR_H
#define COMMON_ATTR_H

#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))
/* For large locals of which only what was written is read: not zeroed by hardened builds. */
#define UNINITIALIZED __attribute__((uninitialized))

/* Runs FN(&variable) when the variable leaves scope. Destructors take T ** and accept NULL. */
#define AUTO(fn) __attribute__((cleanup(fn)))

/* Moves ownership out of a pointer variable: yields it and leaves NULL behind. */
#define TAKE(p)                                                                                    \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
