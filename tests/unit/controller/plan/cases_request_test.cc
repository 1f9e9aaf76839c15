// SPDX-License-Identifier: Apache-2.0
// What OpenELB's own tests ask of requests (C) and of giving and releasing (D), row by row, for IPv4 and IPv6: what one
// Service is given and what it lets go of. Where Berth decides otherwise the name says so. C5 and C7, an ingress that
// somebody emptied, are in tests/system/cases_assign_test.cc.
#include "tests/unit/controller/plan/plan_fixture.h"

namespace berth::plan {
namespace {

// What one decision comes to: "pool,address", empty when nothing of the kind.
struct Outcome {
  std::string release, allocate;
  friend bool operator==(const Outcome&, const Outcome&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Outcome& o) {
    return out << "release {" << o.release << "} allocate {" << o.allocate << "}";
  }
};

// Namespace default with label=test, and Eip "eip" of 256 addresses; of either family.
struct Site {
  explicit Site(bool six) : v6(six) { world.namespaces["default"] = {{"label", "test"}}; }

  std::string At(int n, int net = 1) const {
    return Ip(v6 ? absl::StrCat("2001:db8:", net, "::", absl::Hex(n)) : absl::StrCat("192.168.", net, ".", n))
        .ToString();
  }
  model::Pool Eip(const std::string& name = "eip", int net = 1) const {
    return MakePool(name, At(0, net) + (v6 ? "/120" : "/24"));
  }
  model::Pool Default() const {
    model::Pool pool = Eip();
    pool.is_default = true;
    return pool;
  }
  // Opted in, tcp/80.
  model::Service Testsvc(const std::string& name = "testsvc", std::uint16_t port = 80) const {
    model::Service service = MakeService(name, port);
    service.ip_families = {v6 ? Family::kIpv6 : Family::kIpv4};
    return service;
  }
  // The Service has the address, by all records.
  model::Service Holding(model::Service service, const std::string& pool, const std::string& address) {
    service.allocations = {{Ip(address), pool, model::Protocol::kLayer2, "eth0"}};
    service.marked = true;
    service.managed_by = kManagedByAnnotation;
    world.ledger.Assign(MakeClaim(service, service.allocations[0]));
    world.services[service.id] = service;
    return service;
  }
  std::string Has(int n, const std::string& pool = "eip", int net = 1) const {
    return absl::StrCat(pool, ",", At(n, net));
  }
  Outcome Ask(const model::Service& service) {
    const auto without = [](const auto& all, const auto& others) {
      std::string text;
      for (const model::Allocation& a : all) {
        if (std::find(others.begin(), others.end(), a) != others.end()) continue;
        absl::StrAppend(&text, text.empty() ? "" : " ", a.pool, ",", a.address.ToString());
      }
      return text;
    };
    const Decision decision = world.Look(service);
    return {without(service.allocations, decision.want), without(decision.want, service.allocations)};
  }
  // Who has which address of the Eip: "192.168.1.0=default/a,default/b ...".
  std::string Used() const {
    std::string text;
    for (const IpAddr& address : world.ledger.Used()) {
      absl::StrAppend(&text, text.empty() ? "" : " ", address.ToString(), "=");
      for (const Claim& owner : world.ledger.OwnersOf(address)) absl::StrAppend(&text, owner.service.ToString(), ";");
    }
    return text;
  }

  bool v6;
  World world;
};

TEST_CASE("C1 where there is no Service nothing is asked for", "[unit]") {
  Site site(GENERATE(false, true));
  site.world.Pool(site.Default());
  CHECK(site.Ask(model::Service()) == Outcome{});
}

TEST_CASE("C2 C3 a Service of type ClusterIP asks for nothing and lets go of what is recorded", "[unit]") {
  Site site(GENERATE(false, true));
  site.world.Pool(site.Default());
  model::Service service = site.Testsvc();
  service.load_balancer = false;
  CHECK(site.Ask(service) == Outcome{});
  CHECK(site.Ask(site.Holding(service, "eip", site.At(0))) == Outcome{site.Has(0), ""});
}

TEST_CASE("C4 an address stays although no Eip would be chosen for it today, where OpenELB releases it", "[unit]") {
  Site site(GENERATE(false, true));
  site.world.Pool(site.Eip());
  CHECK(site.Ask(site.Holding(site.Testsvc(), "eip", site.At(0))) == Outcome{});
}

TEST_CASE("C6 C8 C10 an Eip named gives its lowest address, or the one asked for by field or annotation", "[unit]") {
  Site site(GENERATE(false, true));
  site.world.Pool(site.Eip());
  const model::Service service = AsksPool(site.Testsvc(), "eip");
  CHECK(site.Ask(service) == Outcome{"", site.Has(0)});
  CHECK(site.Ask(AsksIp(service, site.At(50))) == Outcome{"", site.Has(50)});
  model::Service annotated = service;
  annotated.annotations[model::kAddressAnnotation] = site.At(100);
  CHECK(site.Ask(annotated) == Outcome{"", site.Has(100)});
}

TEST_CASE("C9 C16 what is held and wished for alike is neither given nor released again", "[unit]") {
  Site site(GENERATE(false, true));
  site.world.Pool(site.Eip());
  const model::Service service = AsksPool(site.Testsvc(), "eip");
  CHECK(site.Ask(site.Holding(AsksIp(service, site.At(50)), "eip", site.At(50))) == Outcome{});
  site.world.ledger.Release(service.id, Ip(site.At(50)));
  CHECK(site.Ask(site.Holding(service, "eip", site.At(0))) == Outcome{});
}

TEST_CASE("C11 annotation and field that ask for different addresses are refused, where OpenELB takes one", "[unit]") {
  Site site(GENERATE(false, true));
  site.world.Pool(site.Eip());
  model::Service service = AsksIp(AsksPool(site.Testsvc(), "eip"), site.At(50));
  service.annotations[model::kAddressAnnotation] = site.At(100);
  CHECK(site.Ask(service) == Outcome{});
  const Reason reason = site.world.Look(service).reason;
  CHECK(reason.code == reason::kInvalidRequest);
  for (const std::string& word : {site.At(50), site.At(100), std::string("spec.loadBalancerIP")}) {
    CHECK_THAT(reason.message, Catch::Contains(word));
  }
}

TEST_CASE("C12 an Eip that is named before it exists is waited for, and then gives", "[unit]") {
  Site site(GENERATE(false, true));
  const model::Service service = AsksPool(site.Testsvc(), "eip");
  CHECK(site.Ask(service) == Outcome{});
  CHECK(site.world.Look(service).reason.code == reason::kPoolNotFound);
  site.world.Pool(site.Eip());
  CHECK(site.Ask(service) == Outcome{"", site.Has(0)});
}

TEST_CASE("C13 C14 a Service that is being deleted lets go of its record, or only of its mark", "[unit]") {
  Site site(GENERATE(false, true));
  site.world.Pool(site.Eip());
  model::Service service = AsksPool(site.Testsvc(), "eip");
  service.deleting = true;
  service.marked = true;
  CHECK(site.Ask(service) == Outcome{});
  CHECK(site.world.Look(service).ownership == Ownership::kRelease);
  CHECK(site.Ask(site.Holding(service, "eip", site.At(0))) == Outcome{site.Has(0), ""});
}

TEST_CASE("C15 without the annotation that opts in, what is recorded is released", "[unit]") {
  Site site(GENERATE(false, true));
  site.world.Pool(site.Eip());
  model::Service service = AsksPool(site.Testsvc(), "eip");
  service.annotations.erase(model::kOptInAnnotation);
  CHECK(site.Ask(site.Holding(service, "eip", site.At(0))) == Outcome{site.Has(0), ""});
}

TEST_CASE("C17 a Service that names another Eip than it has leaves one and gets the other", "[unit]") {
  Site site(GENERATE(false, true));
  site.world.Pool(site.Eip());
  site.world.Pool(site.Eip("eip1", 10));
  const model::Service service = AsksPool(site.Testsvc(), "eip");
  CHECK(site.Ask(site.Holding(service, "eip1", site.At(0, 10))) == Outcome{site.Has(0, "eip1", 10), site.Has(0)});
}

TEST_CASE("C18 C19 C21 an Eip is found by the namespace's name, by its labels, or as the default", "[unit]") {
  Site site(GENERATE(false, true));
  model::Pool pool = site.Eip();
  SECTION("C18 by name") { pool.namespaces = {"default"}; }
  SECTION("C19 by labels") { pool.namespace_selector = model::Labels{{"label", "test"}}; }
  SECTION("C21 as the default") { pool.is_default = true; }
  site.world.Pool(pool);
  CHECK(site.Ask(site.Testsvc()) == Outcome{"", site.Has(0)});
}

TEST_CASE("C20 of two Eips bound to the namespace the one of lower priority gives", "[unit]") {
  Site site(GENERATE(false, true));
  model::Pool one = site.Eip("eip-1", 1);
  one.namespaces = {"default"};
  one.priority = 20;
  model::Pool two = site.Eip("eip-2", 2);
  two.namespace_selector = model::Labels{{"label", "test"}};
  two.priority = 10;
  site.world.Pool(one);
  site.world.Pool(two);
  CHECK(site.Ask(site.Testsvc()) == Outcome{"", site.Has(0, "eip-2", 2)});
}

TEST_CASE("D1 a Service that is not ours is given nothing, and nothing changes", "[unit]") {
  Site site(GENERATE(false, true));
  site.world.Pool(site.Default());
  model::Service service = site.Testsvc();
  service.annotations.clear();
  CHECK(site.world.Put(service).ownership == Ownership::kForeign);
  CHECK(site.Used().empty());
}

TEST_CASE("D2 an Eip that does not exist gives nothing", "[unit]") {
  Site site(GENERATE(false, true));
  site.world.Pool(site.Eip());
  const Decision decision = site.world.Put(AsksPool(site.Testsvc(), "xx"));
  CHECK(decision.reason.code == reason::kPoolNotFound);
  CHECK_THAT(decision.reason.message, Catch::Contains("\"xx\" not found"));
  CHECK(site.Used().empty());
}

TEST_CASE("D3 D4 an address asked for is in use afterwards, and so is one given by itself", "[unit]") {
  Site site(GENERATE(false, true));
  site.world.Pool(site.Eip());
  site.world.Put(AsksIp(AsksPool(site.Testsvc("svc"), "eip"), site.At(100)));
  CHECK(site.Used() == absl::StrCat(site.At(100), "=default/svc;"));
  site.world.Put(AsksPool(site.Testsvc("auto"), "eip"));
  CHECK(site.Used() == absl::StrCat(site.At(0), "=default/auto; ", site.At(100), "=default/svc;"));
}

TEST_CASE("D5 an Eip that is going, disabled or full, or has not the address, gives nothing, and nothing changes",
          "[unit]") {
  Site site(GENERATE(false, true));
  model::Pool pool = site.Eip();
  model::Service service = AsksPool(site.Testsvc("svc"), "eip");
  std::string code;
  SECTION("going") {
    pool.deleting = true;
    code = reason::kPoolDeleting;
  }
  SECTION("disabled") {
    pool.disable = true;
    code = reason::kPoolDisabled;
  }
  SECTION("out of range") {
    service = AsksIp(service, site.At(100, 0));
    code = reason::kAddressNotInPool;
  }
  SECTION("full") {
    pool = MakePool("eip", site.At(1));
    code = reason::kPoolExhausted;
  }
  site.world.Pool(pool);
  site.Holding(site.Testsvc("first"), "eip", site.At(1));
  const std::string before = site.Used();
  CHECK(site.world.Put(service).reason.code == code);
  CHECK(site.Used() == before);
}

TEST_CASE("D6 D7 D8 an address is shared on request, kept when asked for again, and left for another", "[unit]") {
  Site site(GENERATE(false, true));
  site.world.Pool(site.Eip());
  const model::Service test = AsksIp(AsksPool(site.Testsvc("test"), "eip"), site.At(100));
  const model::Service svc = AsksPool(site.Testsvc("svc", 443), "eip");
  site.world.Put(test);
  site.world.Put(AsksIp(svc, site.At(100)));
  CHECK(site.Used() == absl::StrCat(site.At(100), "=default/test;default/svc;"));
  CHECK(site.world.Put(AsksIp(svc, site.At(100))).satisfied);
  CHECK(site.Used() == absl::StrCat(site.At(100), "=default/test;default/svc;"));
  // Release and assignment are one step here: nobody ever has two addresses of one family.
  site.world.Put(AsksIp(svc, site.At(110)));
  CHECK(site.Used() == absl::StrCat(site.At(100), "=default/test; ", site.At(110), "=default/svc;"));
}

TEST_CASE("D9 256 addresses are given in order beside a fixed one, then none; whoever has one keeps it", "[unit]") {
  Site site(GENERATE(false, true));
  site.world.Pool(site.Default());
  site.world.Put(AsksIp(site.Testsvc("testsvc255"), site.At(255)));
  for (int i = 0; i < 255; ++i) {
    const std::string name = absl::StrCat("testsvc", i);
    site.world.Put(site.Testsvc(name));
    REQUIRE(site.world.Has(name) == site.At(i));
  }
  CHECK(AddressCount(site.world.ledger.UsedCount("eip")) == site.world.ledger.Capacity("eip"));
  CHECK(site.world.Put(site.Testsvc("late")).reason.code == reason::kPoolExhausted);
  CHECK(site.world.Put(site.Testsvc("testsvc7")).satisfied);
  CHECK(site.world.Has("testsvc7") == site.At(7));
}

TEST_CASE("D10 releasing nothing, from an Eip that is not there, or for a stranger, changes nothing", "[unit]") {
  Site site(GENERATE(false, true));
  site.world.Pool(site.Eip());
  site.Holding(site.Testsvc(), "eip", site.At(5));
  const std::string before = site.Used();
  site.world.ledger.Release({"", ""}, IpAddr());
  site.world.ledger.Release({"default", "testsvc"}, Ip(site.At(5, 99)));
  site.world.ledger.Release({"default", "stranger"}, Ip(site.At(5)));
  CHECK(site.Used() == before);
}

TEST_CASE("D11 when its only user lets go of an address it is free", "[unit]") {
  Site site(GENERATE(false, true));
  site.world.Pool(site.Default());
  site.world.Put(site.Testsvc());
  site.world.Delete("testsvc");
  CHECK(site.Used().empty());
  CHECK(site.world.ledger.LowestFree("eip") == Ip(site.At(0)));
}

}  // namespace
}  // namespace berth::plan
