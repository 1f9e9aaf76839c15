// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/certs/tls_material.h"

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "common/tls/certificate.h"
#include "controller/kube/certs/x509.h"

namespace berth::kube {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1767323045);  // 2026-01-02T03:04:05Z
constexpr absl::Duration kDay = absl::Hours(24);

TlsPolicy Policy() { return {.names = ControllerNames("openelb-system")}; }

TlsMaterial Fresh() { return (**Renew({}, Policy(), kNow)).material; }

TEST_CASE("an authority signs a certificate for the names asked for", "[unit]") {
  const KeyPair ca = *MakeAuthority(kNow, kNow + kDay);
  const KeyPair other = *MakeAuthority(kNow, kNow + kDay);
  const KeyPair leaf = *MakeServing(ca, {"berth-controller", "localhost"}, kNow, kNow + absl::Hours(1));
  const Certificate read = *ReadCertificate(leaf.cert);
  CHECK(read.dns_names == std::vector<std::string>{"berth-controller", "localhost"});
  CHECK(read.from == kNow);
  CHECK(read.until == kNow + absl::Hours(1));
  CHECK_FALSE(read.authority);
  CHECK(ReadCertificate(ca.cert)->authority);
  CHECK(IsSignedBy(leaf.cert, ca.cert));
  CHECK_FALSE(IsSignedBy(leaf.cert, other.cert));
  CHECK_FALSE(IsSignedBy("", ca.cert));
  CHECK(CheckKeyPair(leaf.cert, leaf.key).ok());
  CHECK(absl::IsInvalidArgument(MakeServing({"junk", "junk"}, {"a"}, kNow, kNow + kDay).status()));
  CHECK(absl::IsInvalidArgument(MakeServing(ca, {}, kNow, kNow + kDay).status()));
}

TEST_CASE("a bundle is taken apart and put together again", "[unit]") {
  const KeyPair a = *MakeAuthority(kNow, kNow + kDay);
  const KeyPair b = *MakeAuthority(kNow, kNow + kDay);
  CHECK(SplitBundle(absl::StrCat("a note\n", a.cert, "\n\n", b.cert)) == std::vector<std::string>{a.cert, b.cert});
  CHECK(SplitBundle("").empty());
  CHECK(SplitBundle("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").empty());
}

TEST_CASE("where there is nothing an authority of ten years and a certificate of ninety days are made", "[unit]") {
  const auto made = *Renew({}, Policy(), kNow);
  REQUIRE(made.has_value());
  CHECK(made->why == "authority: there is none; serving certificate: there is none");
  const TlsMaterial& m = made->material;
  CHECK(ReadCertificate(m.ca_bundle)->until == kNow + 3650 * kDay);
  const Certificate serving = *ReadCertificate(m.cert);
  CHECK(serving.until == kNow + 90 * kDay);
  CHECK(serving.from == kNow - absl::Hours(1));
  CHECK(serving.dns_names == std::vector<std::string>{"berth-controller", "berth-webhook.openelb-system.svc",
                                                      "berth-webhook.openelb-system.svc.cluster.local", "localhost"});
  CHECK(CheckKeyPair(m.ca_bundle, m.ca_key).ok());
  CHECK(CheckKeyPair(m.cert, m.key).ok());
  CHECK(IsSignedBy(m.cert, m.ca_bundle));
  CHECK_FALSE(Renew(m, Policy(), kNow)->has_value());
}

TEST_CASE("a serving certificate is renewed after two thirds of its life and not before", "[unit]") {
  const TlsMaterial m = Fresh();
  CHECK_FALSE(Renew(m, Policy(), kNow + 59 * kDay)->has_value());
  const auto renewed = *Renew(m, Policy(), kNow + 60 * kDay);
  REQUIRE(renewed.has_value());
  CHECK(renewed->why == "serving certificate: has two thirds of its life behind it");
  CHECK(renewed->material.ca_bundle == m.ca_bundle);
  CHECK(renewed->material.ca_key == m.ca_key);
  CHECK(IsSignedBy(renewed->material.cert, m.ca_bundle));
  CHECK(renewed->material.key != m.key);
}

TEST_CASE("a new authority is trusted for a day before it signs", "[unit]") {
  TlsMaterial m = Fresh();
  const absl::Time later = kNow + 2434 * kDay;  // two thirds of ten years
  const KeyPair ca{m.ca_bundle, m.ca_key};
  const KeyPair leaf = *MakeServing(ca, Policy().names, later - 70 * kDay, later + 20 * kDay);  // due as well
  m.cert = leaf.cert;
  m.key = leaf.key;
  const auto first = *Renew(m, Policy(), later);
  REQUIRE(first.has_value());
  CHECK(first->why == "authority: has two thirds of its life behind it");
  const std::vector<std::string> bundle = SplitBundle(first->material.ca_bundle);
  REQUIRE(bundle.size() == 2);
  CHECK(bundle[1] == m.ca_bundle);
  CHECK(first->material.cert == m.cert);  // all trust it still
  CHECK_FALSE(Renew(first->material, Policy(), later + kDay - absl::Seconds(1))->has_value());
  const auto second = *Renew(first->material, Policy(), later + kDay);
  REQUIRE(second.has_value());
  CHECK(IsSignedBy(second->material.cert, bundle[0]));
  CHECK(second->material.ca_bundle == first->material.ca_bundle);
  // The former authority goes when it has expired.
  const auto third = *Renew(second->material, Policy(), kNow + 3650 * kDay);
  REQUIRE(third.has_value());
  CHECK(SplitBundle(third->material.ca_bundle) == std::vector<std::string>{bundle[0]});
}

TEST_CASE("what is of no use is replaced at once", "[unit]") {
  TlsMaterial m = Fresh();
  const KeyPair ca{m.ca_bundle, m.ca_key};
  std::string why;
  bool new_authority = false;
  const auto serve = [&m](const KeyPair& leaf) {
    m.cert = leaf.cert;
    m.key = leaf.key;
  };
  SECTION("expired") {
    serve(*MakeServing(ca, Policy().names, kNow - 2 * kDay, kNow));
    why = "serving certificate: expired at 2026-01-02T03:04:05+00:00";
  }
  SECTION("not valid yet") {
    serve(*MakeServing(ca, Policy().names, kNow + kDay, kNow + 2 * kDay));
    why = "serving certificate: is not valid before 2026-01-03T03:04:05+00:00";
  }
  SECTION("of another key") {
    m.key = Fresh().key;
    why = "serving certificate: its key holds the key of another certificate";
  }
  SECTION("garbage") {
    m.cert = "garbage";
    why = "serving certificate: holds no PEM certificate";
  }
  SECTION("without a name") {
    serve(*MakeServing(ca, {"berth-controller"}, kNow - kDay, kNow + kDay));
    why = "serving certificate: is not for berth-webhook.openelb-system.svc";
  }
  SECTION("signed by a stranger") {
    const TlsMaterial other = Fresh();
    serve({other.cert, other.key});
    why = "serving certificate: is not signed by an authority that is trusted";
  }
  SECTION("the authority has expired") {
    const KeyPair old = *MakeAuthority(kNow - 2 * kDay, kNow);
    m.ca_bundle = old.cert;
    m.ca_key = old.key;
    serve(*MakeServing(old, Policy().names, kNow - kDay, kNow + kDay));
    why =
        "authority: expired at 2026-01-02T03:04:05+00:00; serving certificate: is not signed by an authority that is "
        "trusted";
    new_authority = true;
  }
  SECTION("the authority's key is lost: what it has signed stays in use") {
    m.ca_key = "";
    why = "authority: its key holds no PEM private key without passphrase";
    new_authority = true;
  }
  SECTION("the authority is none") {
    m.ca_bundle = m.cert;
    m.ca_key = m.key;
    why = "authority: is no authority; serving certificate: is not signed by an authority that is trusted";
    new_authority = true;
  }
  const auto renewed = *Renew(m, Policy(), kNow);
  REQUIRE(renewed.has_value());
  CHECK(renewed->why == why);
  CHECK((renewed->material.ca_key != m.ca_key) == new_authority);
  CHECK_FALSE(Renew(renewed->material, Policy(), kNow)->has_value());
}

TEST_CASE("a bundle does not grow for ever", "[unit]") {
  TlsMaterial m = Fresh();
  for (int i = 0; i < 10; ++i) {
    m.ca_key = "";
    m = (**Renew(m, Policy(), kNow)).material;
  }
  CHECK(SplitBundle(m.ca_bundle).size() == 4);
}

}  // namespace
}  // namespace berth::kube
