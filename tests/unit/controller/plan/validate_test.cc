// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/validate.h"

#include "tests/unit/controller/plan/plan_fixture.h"

namespace berth::plan {
namespace {

void CheckDenied(const absl::Status& status, const std::string& beginning, const std::vector<std::string>& words) {
  REQUIRE_FALSE(status.ok());
  const std::string message(status.message());
  CHECK_THAT(message, Catch::StartsWith(beginning));
  for (const std::string& word : words) CHECK_THAT(message, Catch::Contains(word));
}

TEST_CASE("an ordinary Eip passes", "[unit]") {
  model::Pool pool = MakePool("e", "10.0.0.0/24, 10.0.2.5");
  CHECK(ValidatePool(pool).ok());
  pool.interface = "eth0.100";
  CHECK(ValidatePool(pool).ok());
  pool.protocol = model::Protocol::kBgp;
  pool.interface.clear();
  CHECK(ValidatePool(pool).ok());
}

TEST_CASE("T010 E3 layer2 and vip need an interface", "[unit]") {
  model::Pool pool = MakePool("e", "10.0.0.0/24");
  pool.interface.clear();
  pool.protocol = GENERATE(model::Protocol::kLayer2, model::Protocol::kVip);
  CheckDenied(ValidatePool(pool), "if protocol is layer2 or vip, interface should not be empty",
              {"Eip \"e\"", "spec.interface"});
}

TEST_CASE("F14 an interface rule that can mean nothing is refused, field, value and what to write named", "[unit]") {
  model::Pool pool = MakePool("e", "10.0.0.0/24");
  const auto [rule, why] = GENERATE(table<std::string, std::string>({
      {"lo", "invalid interface lo"},
      {"haha:hahah", "invalid interface string"},
      {"can_reach:hahah", "invalid can_reach address"},
      {"can_reach:127.0.0.1", "invalid interface lo"},
      {"eth.*", "regex:eth[0-9]+"},
      {"eth 0", "write a name such as eth0"},
      {"eth0,", "names have 1 to 15 characters"},
      {"sixteen-chars-xx", "15"},
      {"regex:eth(", "cannot be read"},
  }));
  pool.interface = rule;
  CAPTURE(rule);
  CheckDenied(ValidatePool(pool), "Eip \"e\": spec.interface", {rule, why});
}

TEST_CASE("each form of an interface rule is taken", "[unit]") {
  model::Pool pool = MakePool("e", "10.0.0.0/24");
  pool.interface = GENERATE(as<std::string>(), "eth0", "fifteen-chars-x", "eth0.100", "eth1,eth2", "regex:^eth[0-9]+$",
                            "regex:en(p|s).*", "can_reach:10.0.0.1", "can_reach:2001:db8::1", "auto");
  CAPTURE(pool.interface);
  CHECK(ValidatePool(pool).ok());
}

TEST_CASE("an Eip without addresses or with both families is refused", "[unit]") {
  model::Pool pool = MakePool("e", "10.0.0.0/24");
  pool.addresses.Add(Ip("fd00::1"));
  CheckDenied(ValidatePool(pool), "invalid eip address format", {"\"e\"", "mixes"});
  pool.addresses = {};
  CheckDenied(ValidatePool(pool), "invalid eip address format", {"\"e\"", "spec.address"});
}

TEST_CASE("an Eip with IPv4-mapped addresses in it is refused: they could not be read back from a record", "[unit]") {
  const std::string wide = GENERATE("::/80", "::/0", "::fffe:ffff:ffff-::1:0:0:0");
  CAPTURE(wide);
  CheckDenied(ValidatePool(MakePool("e", wide)), "invalid eip address format",
              {"Eip \"e\"", "spec.address \"" + wide + "\"", "::ffff:0:0/96", "leave them out"});
  CHECK(ValidatePool(MakePool("e", "::/81")).ok());
  CHECK(ValidatePool(MakePool("e", "::1:0:0:0/80")).ok());
}

TEST_CASE("a nodeSelector must be well formed", "[unit]") {
  model::Pool pool = MakePool("e", "10.0.0.0/24");
  pool.node_selector = model::LabelSelector{.match_labels = {}, .match_expressions = {{"rack", "In", {"r1"}}}};
  CHECK(ValidatePool(pool).ok());
  pool.node_selector->match_expressions[0] = {"rack", "Near", {"r1"}};
  CheckDenied(ValidatePool(pool), "Eip \"e\": spec.nodeSelector", {"\"rack\"", "\"Near\""});
  pool.node_selector->match_expressions[0] = {"rack", "NotIn", {}};
  CheckDenied(ValidatePool(pool), "Eip \"e\": spec.nodeSelector", {"needs values"});
  pool.node_selector->match_expressions[0] = {"rack", "Exists", {"r1"}};
  CheckDenied(ValidatePool(pool), "Eip \"e\": spec.nodeSelector", {"takes no values"});
}

TEST_CASE("T008 E1 overlapping Eips are refused, naming both and their ranges", "[unit]") {
  const std::map<std::string, model::Pool> others = {{"a", MakePool("a", "10.0.0.0/24,10.1.0.0/24")},
                                                     {"v6", MakePool("v6", "fd00::/64")}};
  CheckDenied(ValidateAgainst(MakePool("b", "10.1.0.128-10.1.1.5"), others), "eip address overlap with a",
              {"Eip \"b\"", "10.1.0.128-10.1.1.5", "10.1.0.0-10.1.0.255", "Eip \"a\"", "spec.address"});
  CheckDenied(ValidateAgainst(MakePool("b", "fd00::/80"), others), "eip address overlap with v6", {"\"b\""});
  CHECK(ValidateAgainst(MakePool("b", "10.1.1.0-10.1.1.5"), others).ok());
  CHECK(ValidateAgainst(MakePool("a", "10.0.0.0/16"), others).ok());
}

TEST_CASE("A6 A7 Eips that touch do not overlap, those that share an end do", "[unit]") {
  const std::map<std::string, model::Pool> others = {{"a", MakePool("a", "192.168.0.100-192.168.0.200")}};
  const auto [address, fits] = GENERATE(table<std::string, bool>({{"192.168.0.1-192.168.0.99", true},
                                                                  {"192.168.0.201-192.168.0.250", true},
                                                                  {"192.168.0.1-192.168.0.100", false},
                                                                  {"192.168.0.200-192.168.0.250", false},
                                                                  {"192.168.0.150", false},
                                                                  {"192.168.0.0/24", false}}));
  CAPTURE(address);
  CHECK(ValidateAgainst(MakePool("b", address), others).ok() == fits);
}

TEST_CASE("T011 E5 E7 a second default is refused, naming the first", "[unit]") {
  const std::map<std::string, model::Pool> others = {{"a", DefaultPool("a", "10.0.0.0/24")},
                                                     {"b", MakePool("b", "10.1.0.0/24")}};
  CheckDenied(ValidateAgainst(DefaultPool("b", "10.1.0.0/24"), others), "already exists a default EIP",
              {"Eip \"a\"", "Eip \"b\"", model::kDefaultPoolAnnotation});
  CHECK(ValidateAgainst(DefaultPool("a", "10.0.0.0/24"), others).ok());
  CHECK(ValidateAgainst(MakePool("b", "10.1.0.0/24"), others).ok());
}

TEST_CASE("T091 E8 an edit that leaves out addresses in use is refused, naming their Services", "[unit]") {
  World world;
  const model::Pool before = DefaultPool("e", "10.0.0.10-10.0.0.20");
  world.Pool(before);
  world.Put(AsksIp(MakeService("a"), "10.0.0.18"));
  world.Put(AsksIp(MakeService("b", 443), "10.0.0.18"));
  const auto update = [&](const std::string& address) {
    return ValidateUpdate(before, DefaultPool("e", address), world.ledger);
  };
  CheckDenied(update("10.0.0.10-10.0.0.15"), "the address field is not allowed to be modified",
              {"Eip \"e\"", "spec.address \"10.0.0.10-10.0.0.15\"", "default/a (10.0.0.18)", "default/b (10.0.0.18)"});
  CheckDenied(update("fd00::/64"), "the address field is not allowed to be modified", {"default/a"});
  CHECK(update("10.0.0.18").ok());
  CHECK(update("10.0.0.0/24").ok());
  CHECK(update("10.0.0.10-10.0.0.17,10.0.0.18,10.0.0.40").ok());
}

TEST_CASE("an edit of an unused range is allowed, and one with many users names some of them", "[unit]") {
  World world;
  const model::Pool before = DefaultPool("e", "10.0.0.0/24");
  world.Pool(before);
  CHECK(ValidateUpdate(before, DefaultPool("e", "10.1.0.0/24"), world.ledger).ok());
  for (int i = 0; i < 40; ++i) world.Put(MakeService(absl::StrCat("s", i)));
  const absl::Status status = ValidateUpdate(before, DefaultPool("e", "10.1.0.0/24"), world.ledger);
  CheckDenied(status, "the address field is not allowed to be modified", {"40", "default/s9", "and others"});
  CHECK_THAT(std::string(status.message()), !Catch::Contains("default/s10"));
}

}  // namespace
}  // namespace berth::plan
