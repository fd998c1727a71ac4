/* Owns what may reach libldap of a server's bytes: messages that answer something. An unsolicited one says at best that the
 * server is leaving, and libldap 2.5 ends the process (an assertion) when such a notification has no name, also before
 * StartTLS has shown who speaks. The layer above TLS ends the connection instead. */
#include <errno.h>
#include <lber.h>

#include "common/ldapx_handle.h"

enum { OUTER_TAG, OUTER_LENGTH, OUTER_MORE, ID_TAG, ID_LENGTH, ID, REST };

/* The length octet of the message. */
static bool begin_length(struct ldapx_frame *f, uint8_t b)
{
	f->left = 0;
	f->more = b & 0x7f;
	if (b < 0x80) {
		f->left = b;
		f->state = ID_TAG;
		return true;
	}
	f->state = OUTER_MORE;
	return f->more >= 1 && f->more <= sizeof(ber_int_t);
}

/* One byte of the content is there. */
static bool content(struct ldapx_frame *f, uint8_t b)
{
	if (f->left == 0)
		return false; /* the message ends inside its own number */
	f->left--;
	switch (f->state) {
	case ID_TAG:
		f->state = ID_LENGTH;
		return b == LBER_INTEGER;
	case ID_LENGTH:
		f->more = b;
		f->id = 0;
		f->state = ID;
		return b >= 1 && b <= sizeof(ber_int_t);
	default:
		f->id = f->id << 8 | b;
		if (--f->more > 0)
			return true;
		f->state = f->left ? REST : OUTER_TAG;
		return f->id >= 1 && f->id <= INT32_MAX;
	}
}

bool ldapx_frame_pass(struct ldapx_frame *f, const uint8_t *p, size_t n)
{
	bool ok = true;
	while (n > 0 && ok) {
		size_t step = 1;
		switch (f->state) {
		case OUTER_TAG:
			f->state = OUTER_LENGTH;
			ok = *p == LBER_SEQUENCE;
			break;
		case OUTER_LENGTH:
			ok = begin_length(f, *p);
			break;
		case OUTER_MORE:
			f->left = f->left << 8 | *p;
			if (--f->more == 0)
				f->state = ID_TAG;
			break;
		case REST:
			step = n < f->left ? n : f->left;
			f->left -= step;
			if (f->left == 0)
				f->state = OUTER_TAG;
			break;
		default:
			ok = content(f, *p);
		}
		p += step;
		n -= step;
	}
	return ok;
}

/* --- the layer --- */

static int layer_setup(Sockbuf_IO_Desc *d, void *arg)
{
	d->sbiod_pvt = arg;
	return 0;
}

static int layer_remove(Sockbuf_IO_Desc *d)
{
	d->sbiod_pvt = NULL;
	return 0;
}

static int layer_ctrl(Sockbuf_IO_Desc *d, int opt, void *arg)
{
	return LBER_SBIOD_CTRL_NEXT(d, opt, arg);
}

static ber_slen_t layer_read(Sockbuf_IO_Desc *d, void *buf, ber_len_t len)
{
	ber_slen_t n = LBER_SBIOD_READ_NEXT(d, buf, len);
	if (n > 0 && !ldapx_frame_pass(d->sbiod_pvt, buf, (size_t)n)) {
		errno = ECONNRESET;
		return -1;
	}
	return n;
}

static ber_slen_t layer_write(Sockbuf_IO_Desc *d, void *buf, ber_len_t len)
{
	return LBER_SBIOD_WRITE_NEXT(d, buf, len);
}

static int layer_close(Sockbuf_IO_Desc *d UNUSED)
{
	return 0;
}

static Sockbuf_IO frame_layer = {
    .sbi_setup = layer_setup,
    .sbi_remove = layer_remove,
    .sbi_ctrl = layer_ctrl,
    .sbi_read = layer_read,
    .sbi_write = layer_write,
    .sbi_close = layer_close,
};

bool ldapx_frame_install(struct ldapx_frame *f, struct sockbuf *sb)
{
	return ber_sockbuf_add_io(sb, &frame_layer, LBER_SBIOD_LEVEL_APPLICATION, f) == 0;
}
