// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/certs/x509.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"

namespace berth::kube {
namespace {

constexpr int kSerialBits = 127;  // positive, and within the 20 bytes of RFC 5280
constexpr std::size_t kMaxBundle = 64;

struct Free {
  void operator()(ASN1_TIME* p) const { ASN1_TIME_free(p); }
  void operator()(BIGNUM* p) const { BN_free(p); }
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(GENERAL_NAMES* p) const { GENERAL_NAMES_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
};
template <typename T>
using Ptr = std::unique_ptr<T, Free>;

// The thread's error queue is shared with gRPC and others.
absl::Status Failed(absl::string_view what) {
  ERR_clear_error();
  return absl::InternalError(absl::StrCat("OpenSSL cannot ", what));
}

Ptr<BIO> Open(absl::string_view text) { return Ptr<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

Ptr<X509> ParseCertificate(absl::string_view pem) {
  Ptr<X509> cert(PEM_read_bio_X509(Open(pem).get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  return cert;
}

// Without this OpenSSL would ask for a passphrase on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

absl::StatusOr<std::string> PemOf(X509* cert) {
  const Ptr<BIO> bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(bio.get(), cert) != 1) return Failed("write a certificate");
  return TextOf(bio.get());
}

absl::StatusOr<std::string> PemOf(EVP_PKEY* key) {
  const Ptr<BIO> bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return Failed("write a key");
  return TextOf(bio.get());
}

std::optional<absl::Time> TimeOf(const ASN1_TIME* time) {
  std::tm tm{};
  if (ASN1_TIME_to_tm(time, &tm) != 1) return std::nullopt;
  return absl::FromTM(tm, absl::UTCTimeZone());
}

bool SetTimes(X509* cert, absl::Time from, absl::Time until) {
  const Ptr<ASN1_TIME> begin(ASN1_TIME_set(nullptr, absl::ToTimeT(from)));
  const Ptr<ASN1_TIME> end(ASN1_TIME_set(nullptr, absl::ToTimeT(until)));
  return begin != nullptr && end != nullptr && X509_set1_notBefore(cert, begin.get()) == 1 &&
         X509_set1_notAfter(cert, end.get()) == 1;
}

// A random serial number, and its hexadecimal text.
std::optional<std::string> SetSerial(X509* cert) {
  const Ptr<BIGNUM> number(BN_new());
  if (number == nullptr || BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) != 1 ||
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(cert)) == nullptr) {
    return std::nullopt;
  }
  char* hex = BN_bn2hex(number.get());
  std::string text = hex == nullptr ? "" : hex;
  OPENSSL_free(hex);
  return text;
}

bool SetSubject(X509* cert, const std::string& common_name) {
  return X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
}

bool AddExtension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context{};
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  const Ptr<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension != nullptr && X509_add_ext(cert, extension.get(), -1) == 1;
}

struct Blank {
  Ptr<X509> cert;
  Ptr<EVP_PKEY> key;
  std::string serial;
};
absl::StatusOr<Blank> NewCertificate(absl::Time from, absl::Time until) {
  Blank blank{Ptr<X509>(X509_new()), Ptr<EVP_PKEY>(EVP_EC_gen("P-256")), ""};
  if (blank.cert == nullptr || blank.key == nullptr) return Failed("make a key");
  const std::optional<std::string> serial = SetSerial(blank.cert.get());
  if (!serial || X509_set_version(blank.cert.get(), X509_VERSION_3) != 1 || !SetTimes(blank.cert.get(), from, until) ||
      X509_set_pubkey(blank.cert.get(), blank.key.get()) != 1) {
    return Failed("make a certificate");
  }
  blank.serial = *serial;
  return blank;
}

absl::StatusOr<KeyPair> Signed(const Blank& blank, EVP_PKEY* by) {
  if (X509_sign(blank.cert.get(), by, EVP_sha256()) == 0) return Failed("sign a certificate");
  KeyPair pair;
  ASSIGN_OR_RETURN(pair.cert, PemOf(blank.cert.get()));
  ASSIGN_OR_RETURN(pair.key, PemOf(blank.key.get()));
  return pair;
}

std::vector<std::string> DnsNames(const X509* cert) {
  std::vector<std::string> out;
  const Ptr<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    out.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                     static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
  ERR_clear_error();
  return out;
}

}  // namespace

absl::StatusOr<KeyPair> MakeAuthority(absl::Time from, absl::Time until) {
  ASSIGN_OR_RETURN(const Blank blank, NewCertificate(from, until));
  X509* cert = blank.cert.get();
  // Its own name for each: where an old and a new one are trusted side by side, a verifier finds the right one at once.
  if (!SetSubject(cert, absl::StrCat("berth-ca ", blank.serial)) ||
      X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1 ||
      !AddExtension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !AddExtension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !AddExtension(cert, cert, NID_subject_key_identifier, "hash")) {
    return Failed("make an authority");
  }
  return Signed(blank, blank.key.get());
}

absl::StatusOr<KeyPair> MakeServing(const KeyPair& authority, const std::vector<std::string>& dns_names,
                                    absl::Time from, absl::Time until) {
  const Ptr<X509> issuer = ParseCertificate(authority.cert);
  const Ptr<EVP_PKEY> issuer_key(PEM_read_bio_PrivateKey(Open(authority.key).get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (issuer == nullptr || issuer_key == nullptr) {
    return absl::InvalidArgumentError("the authority's certificate or key is no PEM");
  }
  if (dns_names.empty()) return absl::InvalidArgumentError("a server's certificate needs a name");
  ASSIGN_OR_RETURN(const Blank blank, NewCertificate(from, until));
  X509* cert = blank.cert.get();
  const std::string names = absl::StrJoin(
      dns_names, ",", [](std::string* out, const std::string& name) { absl::StrAppend(out, "DNS:", name); });
  if (!SetSubject(cert, dns_names.front().substr(0, 64)) ||
      X509_set_issuer_name(cert, X509_get_subject_name(issuer.get())) != 1 ||
      !AddExtension(cert, issuer.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !AddExtension(cert, issuer.get(), NID_key_usage, "critical,digitalSignature") ||
      !AddExtension(cert, issuer.get(), NID_ext_key_usage, "serverAuth") ||
      !AddExtension(cert, issuer.get(), NID_subject_key_identifier, "hash") ||
      !AddExtension(cert, issuer.get(), NID_authority_key_identifier, "keyid") ||
      !AddExtension(cert, issuer.get(), NID_subject_alt_name, names)) {
    return Failed(absl::StrCat("make a certificate for ", names));
  }
  return Signed(blank, issuer_key.get());
}

absl::StatusOr<Certificate> ReadCertificate(absl::string_view pem) {
  const Ptr<X509> cert = ParseCertificate(pem);
  if (cert == nullptr) return absl::InvalidArgumentError("holds no PEM certificate");
  const auto from = TimeOf(X509_get0_notBefore(cert.get()));
  const auto until = TimeOf(X509_get0_notAfter(cert.get()));
  if (!from || !until) return absl::InvalidArgumentError("holds a certificate without readable dates");
  Certificate out{*from, *until, X509_check_ca(cert.get()) == 1, DnsNames(cert.get())};
  ERR_clear_error();
  return out;
}

std::vector<std::string> SplitBundle(absl::string_view bundle) {
  std::vector<std::string> out;
  const Ptr<BIO> bio = Open(bundle);
  while (out.size() < kMaxBundle) {
    const Ptr<X509> cert(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (cert == nullptr) break;
    absl::StatusOr<std::string> pem = PemOf(cert.get());
    if (!pem.ok()) break;
    out.push_back(*std::move(pem));
  }
  ERR_clear_error();
  return out;
}

bool IsSignedBy(absl::string_view cert, absl::string_view authority) {
  const Ptr<X509> subject = ParseCertificate(cert);
  const Ptr<X509> issuer = ParseCertificate(authority);
  const bool is = subject != nullptr && issuer != nullptr &&
                  X509_check_issued(issuer.get(), subject.get()) == X509_V_OK &&
                  X509_verify(subject.get(), X509_get0_pubkey(issuer.get())) == 1;
  ERR_clear_error();
  return is;
}

}  // namespace berth::kube
