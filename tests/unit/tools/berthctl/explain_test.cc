// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/explain.h"

#include <catch2/catch.hpp>

namespace berth::ctl {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1000000);

TEST_CASE("a Service that waits is explained by reason and cure", "[unit]") {
  v1::ExplainServiceResponse answer;
  v1::Service& service = *answer.mutable_service();
  service.set_namespace_("default");
  service.set_name("web");
  service.set_state(v1::Service::PENDING);
  service.set_reason("PoolExhausted");
  service.set_message("pool \"edge\" has no free address; widen its spec.address");
  service.add_candidate_pools("edge");
  CHECK(Explain(answer, kNow) ==
        "Service:    default/web\n"
        "State:      PENDING: PoolExhausted\n"
        "Message:    pool \"edge\" has no free address; widen its spec.address\n"
        "Looked at:  edge\n");
}

TEST_CASE("an address is explained by holder, candidates and refusals", "[unit]") {
  v1::ExplainAddressResponse answer;
  v1::Address& address = *answer.mutable_address();
  address.set_address("192.0.2.1");
  address.set_state(v1::Address::ANNOUNCED);
  address.set_holder("node1");
  address.set_pool("edge");
  address.set_protocol("layer2");
  address.mutable_since()->set_seconds(1000000 - 7);
  address.add_candidates("node1");
  address.add_candidates("node2");
  address.add_refusals("node3: interface eth0 has no carrier");
  address.add_services("default/web");
  CHECK(Explain(answer, kNow) ==
        "Address:    192.0.2.1\n"
        "State:      ANNOUNCED by node1 for 7s\n"
        "Pool:       edge\n"
        "Protocol:   layer2\n"
        "Candidates: node1, node2\n"
        "Refused:    node3: interface eth0 has no carrier\n"
        "Services:   default/web\n");
}

TEST_CASE("a standby says who leads", "[unit]") {
  v1::GetVersionResponse answer;
  answer.set_version("0.1.0");
  answer.set_commit("abc");
  answer.mutable_status()->set_leader_name("ctl-2");
  answer.mutable_status()->set_synced(true);
  answer.mutable_status()->set_term(4);
  CHECK(Explain(answer) == "Server:     0.1.0 (abc)\nRole:       standby, ctl-2 leads\nTerm:       4\n");
}

}  // namespace
}  // namespace berth::ctl
