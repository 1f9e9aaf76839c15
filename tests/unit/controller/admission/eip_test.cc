// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/unit/controller/admission/admission_testing.h"

namespace berth::admission {
namespace {

using nlohmann::json;

// "allowed", or why not.
std::string Says(const Verdict& verdict) { return verdict.allowed ? "allowed" : verdict.message; }
std::string Create(const json& object, const FakeView& view) {
  return Says(Decide(Hook::kEip, MakeReview("CREATE", "eips", object), view));
}
std::string Update(const json& before, const json& object, const FakeView& view) {
  return Says(Decide(Hook::kEip, MakeReview("UPDATE", "eips", object, before), view));
}

FakeView TwoPools() {
  FakeView view;
  view.Add(plan::MakePool("edge", "192.0.2.10-192.0.2.20"));
  view.Add(plan::DefaultPool("lab", "198.51.100.0/24"));
  view.Use("shop/web", "192.0.2.12");
  return view;
}

TEST_CASE("a good Eip is let in", "[unit]") {
  const FakeView view = TwoPools();
  for (const char* address :
       {"203.0.113.1", "203.0.113.0/24", " 203.0.113.1 - 203.0.113.9 ", "2001:db8::/64", "203.0.113.1,203.0.113.9"}) {
    CAPTURE(address);
    CHECK(Create(Eip(address, "new"), view) == "allowed");
  }
}

TEST_CASE("a wrong Eip is refused in OpenELB's words, naming field, value and the other object", "[unit]") {
  const FakeView view = TwoPools();
  json eip = Eip("203.0.113.1", "new");
  std::string begins;
  std::string names;
  SECTION("address") {
    eip["spec"]["address"] = "203.0.113.300";
    begins = "invalid eip address format: Eip \"new\": spec.address:";
    names = "203.0.113.300";
  }
  SECTION("no address") {
    eip["spec"].erase("address");
    begins = "invalid eip address format: Eip \"new\": spec.address: is missing";
  }
  SECTION("address of another type") {
    eip["spec"]["address"] = {"203.0.113.1"};
    begins = "invalid eip address format: Eip \"new\": spec.address:";
  }
  SECTION("no interface") {
    eip["spec"].erase("interface");
    begins = "if protocol is layer2 or vip, interface should not be empty: Eip \"new\": spec.protocol is layer2";
  }
  SECTION("overlap") {
    eip["spec"]["address"] = "192.0.2.0/24";
    begins = "eip address overlap with edge: Eip \"new\": spec.address \"192.0.2.0/24\"";
    names = "of Eip \"edge\"";
  }
  SECTION("second default") {
    eip["metadata"]["annotations"] = {{model::kDefaultPoolAnnotation, "true"}};
    begins = "already exists a default EIP: Eip \"new\": annotation eip.openelb.kubesphere.io/is-default-eip";
    names = "Eip \"lab\" is the default";
  }
  SECTION("protocol, where a schema did not see to it") {
    eip["spec"]["protocol"] = "foo";
    begins = "Eip \"new\": spec.protocol: \"foo\" is not one of bgp, layer2, vip";
  }
  const std::string says = Create(eip, view);
  CHECK_THAT(says, Catch::StartsWith(begins));
  CHECK_THAT(says, Catch::Contains(names));
}

TEST_CASE("an Eip may be widened, and narrowed as far as nobody is left outside", "[unit]") {
  const FakeView view = TwoPools();
  const json before = Eip("192.0.2.10-192.0.2.20");
  CHECK(Update(before, Eip("192.0.2.0/24"), view) == "allowed");
  CHECK(Update(before, Eip("192.0.2.12"), view) == "allowed");
  CHECK_THAT(Update(before, Eip("192.0.2.13-192.0.2.20"), view),
             Catch::StartsWith("the address field is not allowed to be modified: Eip \"edge\": spec.address") &&
                 Catch::Contains("shop/web (192.0.2.12)"));
  CHECK_THAT(Update(before, Eip("192.0.2.10-198.51.100.3"), view), Catch::StartsWith("eip address overlap with lab"));
  json bare = Eip("192.0.2.10-192.0.2.20");
  bare["spec"].erase("interface");
  CHECK_THAT(Update(before, bare, view), Catch::StartsWith("if protocol is layer2 or vip"));
}

TEST_CASE("an update that says nothing new, or of an Eip that goes, is let through whatever it holds", "[unit]") {
  FakeView view = TwoPools();
  json bad = Eip("not an address");
  SECTION("a finalizer") {
    json after = bad;
    after["metadata"]["finalizers"] = {"finalizer.ipam.kubesphere.io/v1alpha1"};
    CHECK(Update(bad, after, view) == "allowed");
    view.synced = false;
    CHECK(Update(bad, after, view) == "allowed");
  }
  SECTION("a status") {
    json after = bad;
    after["status"] = {{"usage", 1}};
    CHECK(Update(bad, after, view) == "allowed");
  }
  SECTION("a subresource") {
    Review review = MakeReview("UPDATE", "eips", Eip("also bad"), bad);
    review.subresource = "status";
    CHECK(Decide(Hook::kEip, review, view).allowed);
  }
  SECTION("being deleted") {
    json after = Eip("198.51.100.0/25");
    after["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z";
    CHECK(Update(Eip("192.0.2.10"), after, view) == "allowed");
  }
  SECTION("an annotation that is not ours") {
    json after = bad;
    after["metadata"]["annotations"] = {{"note", "x"}};
    CHECK(Update(bad, after, view) == "allowed");
  }
}

TEST_CASE("an Eip that breaks a rule already can be disabled and mended step by step", "[unit]") {
  FakeView view = TwoPools();
  view.Add(plan::DefaultPool("twin", "192.0.2.15-192.0.2.30"));  // came while the webhook was off
  json before = Eip("192.0.2.15-192.0.2.30", "twin");
  before["metadata"]["annotations"] = {{model::kDefaultPoolAnnotation, "true"}};
  json after = before;
  after["spec"]["disable"] = true;
  CHECK(Update(before, after, view) == "allowed");
  after["spec"]["address"] = "192.0.2.21-192.0.2.30";
  CHECK(Update(before, after, view) == "allowed");  // two defaults still, which were there before
  after["spec"]["address"] = "192.0.2.16-192.0.2.30";
  CHECK_THAT(Update(before, after, view), Catch::StartsWith("eip address overlap with edge"));
  const json unreadable = Eip("nonsense", "twin");
  CHECK(Update(unreadable, Eip("203.0.113.7", "twin"), view) == "allowed");
}

TEST_CASE("to become the default is judged when only the annotation changes", "[unit]") {
  const FakeView view = TwoPools();
  const json before = Eip("192.0.2.10-192.0.2.20");
  json after = before;
  after["metadata"]["annotations"] = {{model::kDefaultPoolAnnotation, "true"}};
  CHECK_THAT(Update(before, after, view), Catch::StartsWith("already exists a default EIP"));
  CHECK(Update(after, before, view) == "allowed");
}

TEST_CASE("deleting an Eip in use is allowed and warns of what it means", "[unit]") {
  FakeView view = TwoPools();
  json eip = Eip("192.0.2.10-192.0.2.20");
  const auto warnings = [&] { return Decide(Hook::kEip, MakeReview("DELETE", "eips", nullptr, eip), view).warnings; };
  REQUIRE(warnings().size() == 3);
  CHECK(warnings()[0] == "Eip \"edge\" is in use and stays until the last Service lets go of its address");
  CHECK(warnings()[1] == "users of Eip \"edge\": shop/web (192.0.2.12)");
  eip["metadata"]["annotations"] = {{model::kForceDeleteAnnotation, "true"}};
  REQUIRE(warnings().size() == 1);
  CHECK_THAT(warnings()[0], Catch::Contains("by force") && Catch::Contains("shop/web"));
  for (int i = 0; i < 9; ++i) view.Use(absl::StrCat("shop/s", i), "192.0.2.13");
  CHECK_THAT(warnings()[0], Catch::EndsWith("and 6 more"));
  view.claims.clear();
  CHECK(warnings().empty());
}

TEST_CASE("before the cluster has been read an Eip is refused with 503", "[unit]") {
  FakeView view;
  view.synced = false;
  const Verdict verdict = Decide(Hook::kEip, MakeReview("CREATE", "eips", Eip("192.0.2.1")), view);
  CHECK_FALSE(verdict.allowed);
  CHECK(verdict.code == 503);
}

}  // namespace
}  // namespace berth::admission
