// SPDX-License-Identifier: Apache-2.0
#include "common/tls/certificate.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/time/clock.h"
#include "common/base/atomic_file.h"
#include "tests/unit/common/tls/test_certificates.h"

namespace berth {
namespace {

using Catch::Contains;

std::string Content(const std::string& path) { return **ReadFile(path); }

TEST_CASE("a certificate tells when it ends", "[unit]") {
  const TempFolder folder;
  const TestCertificates certificates(folder);
  certificates.MakeCa("ca");
  const absl::Time made = absl::Now();
  const auto expiry = CertificateExpiry(Content(certificates.Cert("ca")));
  REQUIRE(expiry.ok());
  CHECK(absl::AbsDuration(*expiry - (made + absl::Hours(48))) < absl::Minutes(1));
  CHECK(absl::IsInvalidArgument(CertificateExpiry("").status()));
  CHECK(absl::IsInvalidArgument(CertificateExpiry(Content(certificates.Key("ca"))).status()));
}

TEST_CASE("a key is told from that of another certificate", "[unit]") {
  const TempFolder folder;
  const TestCertificates certificates(folder);
  certificates.MakeCa("a");
  certificates.MakeCa("b");
  const std::string cert = Content(certificates.Cert("a"));
  CHECK(CheckKeyPair(cert, Content(certificates.Key("a"))).ok());
  CHECK_THAT(std::string(CheckKeyPair(cert, Content(certificates.Key("b"))).message()),
             Contains("another certificate"));
  CHECK_THAT(std::string(CheckKeyPair(cert, "secret").message()),
             Contains("no PEM private key") && !Contains("secret"));
  CHECK_THAT(std::string(CheckKeyPair("", "secret").message()), Contains("no PEM certificate"));
}

}  // namespace
}  // namespace berth
