// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/rows.h"

#include <catch2/catch.hpp>

namespace berth::ctl {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1000000);
using Row = std::vector<std::string>;

TEST_CASE("pools are shown as the Eips' own columns, and all of it when wide", "[unit]") {
  v1::ListPoolsResponse list;
  v1::Pool& pool = *list.add_pools();
  pool.set_name("eip-pool");
  pool.set_range("192.168.50.50-192.168.50.60");
  pool.set_used("1");
  pool.set_total("11");
  pool.set_protocol("layer2");
  pool.set_disabled(true);
  pool.add_conflicted("192.168.50.51");
  CHECK(PoolTable(list, false).header == Row{"NAME", "CIDR", "USAGE", "TOTAL"});
  CHECK(PoolTable(list, false).rows.at(0) == Row{"eip-pool", "192.168.50.50-192.168.50.60", "1", "11"});
  CHECK(PoolTable(list, true).rows.at(0) ==
        Row{"eip-pool", "192.168.50.50-192.168.50.60", "1", "11", "layer2", "", "true", "192.168.50.51", ""});
  CHECK(PoolTable(list, true).header.size() == 9);
}

TEST_CASE("a Service without an address is pending only while it waits for one", "[unit]") {
  v1::ListServicesResponse list;
  v1::Service& service = *list.add_services();
  service.set_namespace_("default");
  service.set_name("web");
  service.set_state(v1::Service::PENDING);
  service.set_reason("PoolExhausted");
  CHECK(ServiceTable(list, false).rows.at(0) == Row{"default", "web", "PENDING", "<pending>", "", "PoolExhausted"});
  service.set_state(v1::Service::IGNORED);
  CHECK(ServiceTable(list, false).rows.at(0).at(3).empty());
  service.set_state(v1::Service::ASSIGNED);
  service.add_addresses("192.0.2.1");
  service.add_addresses("2001:db8::1");
  service.add_pools("edge");
  service.add_pools("edge");
  service.add_ports("80/TCP");
  CHECK(ServiceTable(list, true).rows.at(0) ==
        Row{"default", "web", "ASSIGNED", "192.0.2.1,2001:db8::1", "edge", "PoolExhausted", "80/TCP", ""});
}

TEST_CASE("addresses and agents show how long ago, or that nobody knows", "[unit]") {
  v1::ListAddressesResponse addresses;
  v1::Address& address = *addresses.add_addresses();
  address.set_address("192.0.2.1");
  address.set_pool("edge");
  address.set_protocol("layer2");
  address.set_state(v1::Address::ANNOUNCED);
  address.set_holder("node1");
  address.add_services("default/web");
  CHECK(AddressTable(addresses, false, kNow).rows.at(0) ==
        Row{"192.0.2.1", "edge", "layer2", "ANNOUNCED", "node1", "default/web", "<unknown>"});
  address.mutable_since()->set_seconds(1000000 - 42);
  address.add_candidates("node1");
  address.add_candidates("node2");
  CHECK(AddressTable(addresses, true, kNow).rows.at(0) ==
        Row{"192.0.2.1", "edge", "layer2", "ANNOUNCED", "node1", "default/web", "42s", "node1,node2", ""});

  v1::ListAgentsResponse agents;
  v1::Agent& agent = *agents.add_agents();
  agent.set_node("node1");
  agent.set_state(v1::Agent::CONTROL_LOST);
  agent.set_version("0.1.0");
  agent.add_announced("192.0.2.1");
  agent.mutable_last_heartbeat()->set_seconds(1000000 - 3);
  v1::Interface& eth0 = *agent.add_interfaces();
  eth0.set_name("eth0");
  eth0.set_up(true);
  eth0.add_prefixes("192.0.2.9/24");
  agent.add_interfaces()->set_name("eth1");
  CHECK(AgentTable(agents, false, kNow).rows.at(0) == Row{"node1", "CONTROL_LOST", "0.1.0", "1", "3s"});
  CHECK(AgentTable(agents, true, kNow).rows.at(0) ==
        Row{"node1", "CONTROL_LOST", "0.1.0", "1", "3s", "eth0(192.0.2.9/24),eth1(down)", ""});
}

TEST_CASE("a change is one line that names the object and how it is now", "[unit]") {
  v1::Change change;
  change.set_kind(v1::Change::CHANGED);
  change.mutable_address()->set_address("192.0.2.1");
  change.mutable_address()->set_state(v1::Address::ANNOUNCED);
  change.mutable_address()->set_holder("node1");
  CHECK(ChangeLine(change) == "CHANGED   address 192.0.2.1: ANNOUNCED by node1");
  change.set_kind(v1::Change::GONE);
  CHECK(ChangeLine(change) == "GONE      address 192.0.2.1");
  change.set_kind(v1::Change::ADDED);
  change.mutable_service()->set_namespace_("default");
  change.mutable_service()->set_name("web");
  change.mutable_service()->set_state(v1::Service::PENDING);
  change.mutable_service()->set_reason("PoolExhausted");
  change.mutable_service()->set_message("pool \"edge\" is full");
  CHECK(ChangeLine(change) == "ADDED     service default/web: PENDING PoolExhausted: pool \"edge\" is full");
  change.Clear();
  change.set_kind(v1::Change::SYNCED);
  CHECK(ChangeLine(change).empty());
}

}  // namespace
}  // namespace berth::ctl
