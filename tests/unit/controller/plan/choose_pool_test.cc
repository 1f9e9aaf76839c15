// SPDX-License-Identifier: Apache-2.0
// Which Eip an address comes from.
#include "controller/plan/choose_pool.h"

#include "tests/unit/controller/plan/plan_fixture.h"

namespace berth::plan {
namespace {

void CheckPending(const Decision& decision, const std::string& code, const std::vector<std::string>& words) {
  CHECK(decision.want.empty());
  CHECK(decision.reason.code == code);
  for (const std::string& word : words) CHECK_THAT(decision.reason.message, Catch::Contains(word));
}

model::Pool Disabled(model::Pool pool) {
  pool.disable = true;
  return pool;
}
model::Pool OfProtocol(model::Pool pool, model::Protocol protocol) {
  pool.protocol = protocol;
  return pool;
}

TEST_CASE("T028 C6 the Eip named is used, default or not", "[unit]") {
  World world;
  world.Pool(DefaultPool("e1", "10.1.0.0/24"));
  world.Pool(MakePool("e2", "10.2.0.0/24"));
  world.Put(AsksPool(MakeService("a"), " e2 "));
  CHECK(world.Has("a") == "10.2.0.0");
}

TEST_CASE("T031 B8 D2 a name without an Eip waits for it, whatever else there is", "[unit]") {
  World world;
  world.Pool(DefaultPool("e", "10.1.0.0/24"));
  const model::Service service = AsksPool(MakeService("a"), "nope");
  CheckPending(world.Put(service), reason::kPoolNotFound,
               {"Eip.network.kubesphere.io \"nope\" not found", model::kPoolAnnotation});
  world.Pool(MakePool("nope", "10.2.0.0/24"));
  world.Again("a");
  CHECK(world.Has("a") == "10.2.0.0");
}

TEST_CASE("a Service that waits for an Eip which was refused is told that, and why", "[unit]") {
  World world;
  world.ledger.SetRefused({{"bad", "spec.address: \"x\" is no address"}});
  CheckPending(world.Put(AsksPool(MakeService("named"), "bad")), reason::kPoolRefused,
               {model::kPoolAnnotation, "Eip \"bad\" is refused: spec.address: \"x\" is no address"});
  CheckPending(world.Put(MakeService("auto")), reason::kPoolRefused,
               {"no available default eip found", "Eip \"bad\" is refused"});
  CheckPending(world.Put(AsksPool(MakeService("other"), "nope")), reason::kPoolNotFound, {"\"nope\" not found"});
  world.Pool(MakePool("good", "10.1.0.0/24"));
  world.Again("auto");
  CHECK(world.Has("auto") == "10.1.0.0");
}

TEST_CASE("T070 C18 an Eip bound to the namespace goes before the default one, and serves no other namespace",
          "[unit]") {
  World world;
  world.Pool(DefaultPool("e1", "10.1.0.0/24"));
  world.Pool(BoundPool("e2", "10.2.0.0/24", "team-a"));
  world.Put(MakeService("team-a/web"));
  world.Put(MakeService("other/web"));
  CHECK(world.Has("team-a/web") == "10.2.0.0");
  CHECK(world.Has("other/web") == "10.1.0.0");
}

TEST_CASE("C19 a namespace is bound by its labels, all of those asked for", "[unit]") {
  World world;
  model::Pool pool = MakePool("e", "10.2.0.0/24");
  pool.namespace_selector = model::Labels{{"team", "a"}, {"env", "prod"}};
  world.Pool(pool);
  world.namespaces["prod"] = {{"team", "a"}, {"env", "prod"}, {"more", "x"}};
  world.namespaces["test"] = {{"team", "a"}, {"env", "test"}};
  world.Put(MakeService("prod/web"));
  CHECK(world.Has("prod/web") == "10.2.0.0");
  CheckPending(world.Put(MakeService("test/web")), reason::kNamespaceNotAllowed, {"\"e\"", "\"test\""});
}

TEST_CASE("an empty namespaceSelector binds nothing", "[unit]") {
  World world;
  model::Pool pool = MakePool("e", "10.2.0.0/24");
  pool.namespace_selector = model::Labels{};
  world.Pool(pool);
  world.Put(MakeService("any/web"));
  CHECK(world.Has("any/web") == "10.2.0.0");
}

TEST_CASE("T071 T072 C20 B19 among bound Eips: not full first, then the lowest priority, then the name", "[unit]") {
  World world;
  world.Pool(BoundPool("e1", "10.1.0.0/24", "team-a", 2));
  world.Pool(BoundPool("e2", "10.2.0.1", "team-a", 1));
  world.Pool(BoundPool("e0", "10.0.0.0/24", "team-a", 2));
  world.Put(MakeService("team-a/first"));
  world.Put(MakeService("team-a/second"));
  CHECK(world.Has("team-a/first") == "10.2.0.1");
  CHECK(world.Has("team-a/second") == "10.0.0.0");
  for (int i = 0; i < 3; ++i) world.Again("team-a/first");
  CHECK(world.Has("team-a/first") == "10.2.0.1");
  CHECK(world.Look(MakeService("team-a/third")).candidate_pools == std::vector<std::string>{"e0", "e1", "e2"});
}

TEST_CASE("a step that finds only full or disabled Eips ends the search", "[unit]") {
  World world;
  world.Pool(DefaultPool("e1", "10.1.0.0/24"));
  std::string code, name;
  SECTION("full") {
    world.Pool(BoundPool("e2", "10.2.0.1", "team-a"));
    world.Put(MakeService("team-a/first"));
    code = reason::kPoolExhausted;
  }
  SECTION("disabled") {
    world.Pool(Disabled(BoundPool("e2", "10.2.0.1", "team-a")));
    code = reason::kPoolDisabled;
  }
  CheckPending(world.Put(MakeService("team-a/web")), code, {"\"e2\""});
}

TEST_CASE("C21 the default Eip goes before the others", "[unit]") {
  World world;
  world.Pool(MakePool("a", "10.1.0.0/24"));
  world.Pool(DefaultPool("z", "10.2.0.0/24"));
  world.Put(MakeService("web"));
  CHECK(world.Has("web") == "10.2.0.0");
}

TEST_CASE("T074 without a default or a bound Eip any enabled one of its protocol serves", "[unit]") {
  World world;
  CheckPending(world.Put(MakeService("web")), reason::kNoPool,
               {"no available default eip found", "is bound to namespace \"default\""});
  world.Pool(Disabled(MakePool("a", "10.1.0.0/24")));
  CheckPending(world.Again("web"), reason::kPoolDisabled, {"eip:a is disabled"});
  world.Pool(MakePool("c", "10.3.0.0/24"));
  model::Pool preferred = MakePool("d", "10.4.0.0/24");
  preferred.priority = -1;
  world.Pool(preferred);
  world.Again("web");
  CHECK(world.Has("web") == "10.4.0.0");
}

TEST_CASE("without a protocol annotation a bgp Eip goes first, then any; full ones are passed over", "[unit]") {
  World world;
  world.Pool(MakePool("a", "10.1.0.0/24"));
  world.Pool(OfProtocol(MakePool("z", "10.2.0.1"), model::Protocol::kBgp));
  world.Put(MakeService("first"));
  world.Put(MakeService("second"));
  CHECK(world.Has("first") == "10.2.0.1");
  CHECK(world.Has("second") == "10.1.0.0");
}

TEST_CASE("a protocol annotation must match the Eip in every step", "[unit]") {
  World world;
  world.Pool(OfProtocol(DefaultPool("bgp", "10.1.0.0/24"), model::Protocol::kBgp));
  world.Pool(OfProtocol(BoundPool("bound", "10.2.0.0/24", "team-a"), model::Protocol::kVip));
  const auto layer2 = [](const std::string& id) { return WithProtocol(MakeService(id), "layer2"); };
  CheckPending(world.Put(layer2("team-a/auto")), reason::kProtocolMismatch, {"layer2", model::kProtocolAnnotation});
  CheckPending(world.Put(AsksPool(layer2("named"), "bgp")), reason::kProtocolMismatch, {"\"bgp\"", "layer2"});
  CheckPending(world.Put(AsksIp(layer2("wanted"), "10.1.0.9")), reason::kProtocolMismatch, {"\"bgp\"", "layer2"});
  world.Pool(MakePool("l2", "10.3.0.0/24"));
  world.Again("team-a/auto");
  CHECK(world.Has("team-a/auto") == "10.3.0.0");
  world.Put(WithProtocol(MakeService("team-a/vip"), "vip"));
  CHECK(world.Has("team-a/vip") == "10.2.0.0");
}

TEST_CASE("T075 T076 a bound Eip is refused to other namespaces, by name and by address, unless advisory", "[unit]") {
  World world;
  world.Pool(BoundPool("e2", "10.2.0.0/24", "team-a"));
  const model::Service named = AsksPool(MakeService("team-b/named"), "e2");
  const model::Service wanted = AsksIp(MakeService("team-b/wanted"), "10.2.0.9");
  CheckPending(world.Put(named), reason::kNamespaceNotAllowed, {"\"e2\"", "team-b", "spec.namespaces"});
  CheckPending(world.Put(wanted), reason::kNamespaceNotAllowed, {"\"e2\"", "team-b", "spec.loadBalancerIP"});
  world.rules.advisory_namespace_binding = true;
  world.Put(named);
  world.Put(wanted);
  CHECK(world.Has("team-b/named") == "10.2.0.0");
  CHECK(world.Has("team-b/wanted") == "10.2.0.9");
}

TEST_CASE("a default Eip that is bound elsewhere is no default for this namespace", "[unit]") {
  World world;
  model::Pool pool = BoundPool("e2", "10.2.0.0/24", "team-a");
  pool.is_default = true;
  world.Pool(pool);
  CheckPending(world.Put(MakeService("team-b/web")), reason::kNamespaceNotAllowed, {"\"e2\"", "team-b"});
}

TEST_CASE("T078 B18 a disabled Eip gives nothing new and takes nothing away", "[unit]") {
  World world;
  world.Pool(DefaultPool("e1", "10.1.0.0/24"));
  world.Put(MakeService("a"));
  world.Pool(Disabled(DefaultPool("e1", "10.1.0.0/24")));
  world.Again("a");
  CHECK(world.Has("a") == "10.1.0.0");
  CheckPending(world.Put(MakeService("b")), reason::kPoolDisabled, {"eip:e1 is disabled", "spec.disable"});
  CheckPending(world.Put(AsksPool(MakeService("c"), "e1")), reason::kPoolDisabled, {"eip:e1 is disabled"});
  CheckPending(world.Put(AsksIp(MakeService("d", 81), "10.1.0.0")), reason::kPoolDisabled, {"eip:e1 is disabled"});
}

TEST_CASE("T079 D5 an Eip that is being deleted gives nothing new", "[unit]") {
  World world;
  world.Pool(DefaultPool("e", "10.1.0.0/24"));
  world.Put(MakeService("a"));
  model::Pool pool = DefaultPool("e", "10.1.0.0/24");
  pool.deleting = true;
  world.Pool(pool);
  world.Again("a");
  CHECK(world.Has("a") == "10.1.0.0");
  CheckPending(world.Put(AsksPool(MakeService("b"), "e")), reason::kPoolDeleting, {"eip:e is deleting"});
  CheckPending(world.Put(MakeService("c")), reason::kPoolDeleting, {"eip:e is deleting"});
  world.Pool(MakePool("f", "10.2.0.0/24"));
  world.Again("c");
  CHECK(world.Has("c") == "10.2.0.0");
}

}  // namespace
}  // namespace berth::plan
