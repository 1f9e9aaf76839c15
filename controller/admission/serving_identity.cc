// SPDX-License-Identifier: Apache-2.0
#include "controller/admission/serving_identity.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <optional>
#include <utility>

#include "absl/strings/string_view.h"
#include "common/base/atomic_file.h"

namespace berth::admission {
namespace {

struct Free {
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(STACK_OF(X509) * p) const { sk_X509_pop_free(p, X509_free); }
};
template <typename T>
using Ptr = std::unique_ptr<T, Free>;

Ptr<BIO> Open(absl::string_view text) { return Ptr<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

// Without this OpenSSL would ask for a passphrase on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

std::string Read(const std::string& path) {
  absl::StatusOr<std::optional<std::string>> bytes = ReadFile(path);
  return bytes.ok() && bytes->has_value() ? **std::move(bytes) : "";
}

}  // namespace

struct ServingIdentity::Loaded {
  Ptr<X509> cert;
  Ptr<STACK_OF(X509)> chain;  // the rest
  Ptr<EVP_PKEY> key;
};

ServingIdentity::ServingIdentity(std::string cert_file, std::string key_file)
    : cert_file_(std::move(cert_file)), key_file_(std::move(key_file)) {}

ServingIdentity::~ServingIdentity() = default;

std::shared_ptr<const ServingIdentity::Loaded> ServingIdentity::Current() {
  const auto stamp_of = [](const std::string& path) {
    struct stat info{};
    if (stat(path.c_str(), &info) != 0) return Stamp();
    return Stamp(info.st_dev, info.st_ino, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  };
  std::lock_guard lock(mutex_);
  // Looked at before they are read: what changes meanwhile is read once more the next time.
  const Stamp cert_stamp = stamp_of(cert_file_), key_stamp = stamp_of(key_file_);
  if (loaded_ != nullptr && cert_stamp == cert_stamp_ && key_stamp == key_stamp_) return loaded_;
  auto fresh = std::make_shared<Loaded>();
  const std::string cert_pem = Read(cert_file_);
  const Ptr<BIO> certs = Open(cert_pem);
  fresh->cert.reset(PEM_read_bio_X509(certs.get(), nullptr, nullptr, nullptr));
  fresh->chain.reset(sk_X509_new_null());
  while (X509* next = PEM_read_bio_X509(certs.get(), nullptr, nullptr, nullptr)) {
    sk_X509_push(fresh->chain.get(), next);
  }
  fresh->key.reset(PEM_read_bio_PrivateKey(Open(Read(key_file_)).get(), nullptr, NoPassphrase, nullptr));
  const bool fits = fresh->cert != nullptr && fresh->key != nullptr &&
                    X509_check_private_key(fresh->cert.get(), fresh->key.get()) == 1;
  ERR_clear_error();
  if (!fits) return loaded_;
  cert_stamp_ = cert_stamp;
  key_stamp_ = key_stamp;
  loaded_ = std::move(fresh);
  return loaded_;
}

bool ServingIdentity::Show(SSL* connection) {
  const std::shared_ptr<const Loaded> now = Current();
  return now != nullptr && SSL_use_certificate(connection, now->cert.get()) == 1 &&
         SSL_set1_chain(connection, now->chain.get()) == 1 && SSL_use_PrivateKey(connection, now->key.get()) == 1;
}

}  // namespace berth::admission
