// Digests and signatures of OpenSSL's libcrypto.
#ifndef SHEAF_CCRYPTO_SHIM_H
#define SHEAF_CCRYPTO_SHIM_H

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#endif
