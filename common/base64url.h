/* RFC 4648 base64url without padding (section 5) and base64 with it (section 4), strict: one spelling for
 * each byte string. */
#ifndef COMMON_BASE64URL_H
#define COMMON_BASE64URL_H

#include "common/str.h"

/* Decodes into the arena. False for padding, white space, foreign characters, an impossible length
 * or unused bits that are not zero (RFC 7515 needs the canonical form: else a token has aliases). */
bool base64url_decode(struct arena *a, struct slice in, struct slice *out);

/* The same for the standard alphabet, padded to a multiple of four. False for empty text, too. */
bool base64_decode(struct arena *a, struct slice in, struct slice *out);

void base64url_encode(struct buf *b, struct slice in);

#endif
