// SPDX-License-Identifier: Apache-2.0
#include "common/tls/certificate.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

namespace berth {
namespace {

struct Free {
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
};
using BioPtr = std::unique_ptr<BIO, Free>;
using CertificatePtr = std::unique_ptr<X509, Free>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free>;

BioPtr Open(absl::string_view text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

absl::StatusOr<CertificatePtr> FirstCertificate(absl::string_view pem) {
  CertificatePtr certificate(PEM_read_bio_X509(Open(pem).get(), nullptr, nullptr, nullptr));
  ERR_clear_error();  // the thread's error queue is shared with gRPC
  if (certificate == nullptr) return absl::InvalidArgumentError("holds no PEM certificate");
  return certificate;
}

// Without this OpenSSL would ask for a passphrase on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

}  // namespace

absl::StatusOr<absl::Time> CertificateExpiry(absl::string_view pem) {
  absl::StatusOr<CertificatePtr> certificate = FirstCertificate(pem);
  if (!certificate.ok()) return certificate.status();
  std::tm end{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate->get()), &end) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("holds a certificate without a readable end date");
  }
  return absl::FromTM(end, absl::UTCTimeZone());
}

absl::Status CheckKeyPair(absl::string_view cert_pem, absl::string_view key_pem) {
  absl::StatusOr<CertificatePtr> certificate = FirstCertificate(cert_pem);
  if (!certificate.ok()) return certificate.status();
  const KeyPtr key(PEM_read_bio_PrivateKey(Open(key_pem).get(), nullptr, NoPassphrase, nullptr));
  const bool belongs = key != nullptr && X509_check_private_key(certificate->get(), key.get()) == 1;
  ERR_clear_error();
  if (key == nullptr) return absl::InvalidArgumentError("holds no PEM private key without passphrase");
  if (!belongs) return absl::InvalidArgumentError("holds the key of another certificate");
  return absl::OkStatus();
}

}  // namespace berth
