// The C that Swift needs and cannot import from zlib by itself.
#ifndef SHEAF_CZLIB_SHIM_H
#define SHEAF_CZLIB_SHIM_H

#include <zlib.h>

// deflateInit2 is a macro, which Swift does not import; 16 more window bits ask for a gzip header.
static inline int czlib_gzip_init(z_stream *stream, int level) {
    return deflateInit2(stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
}

#endif
