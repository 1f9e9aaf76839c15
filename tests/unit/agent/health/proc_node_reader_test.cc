// SPDX-License-Identifier: Apache-2.0
// What is read of /proc, from a folder that looks like it. Tables and chains are tried on a real kernel (net tier).
#include "agent/health/proc_node_reader.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/unit/common/temp_folder.h"

namespace berth::agent {
namespace {

void Write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

TEST_CASE("settings are read of /proc, rp_filter as the kernel goes by it", "[unit]") {
  const TempFolder folder;
  const std::string proc = folder.path();
  Write(proc + "/self/status", "Name:\tberth-agent\nCapPrm:\t0000003fffffffff\nCapEff:\t0000000000003000\n");
  Write(proc + "/sys/net/ipv4/ip_forward", "1\n");
  Write(proc + "/sys/net/ipv6/conf/all/forwarding", "0\n");
  Write(proc + "/sys/net/ipv4/conf/all/rp_filter", "1\n");
  Write(proc + "/sys/net/ipv4/conf/eth0/rp_filter", "0\n");
  Write(proc + "/sys/net/ipv4/conf/eth0.100/rp_filter", "2\n");
  ProcNodeReader reader(proc);
  const NodeFacts facts = reader.Read({"eth0", "eth0.100", "gone"});
  CHECK(facts.capabilities == 0x3000);
  CHECK(facts.forwarding == true);
  CHECK(facts.forwarding6 == false);
  CHECK(facts.rp_filter == std::map<std::string, int>{{"eth0", 1}, {"eth0.100", 2}});
  CHECK(facts.wall > absl::FromUnixSeconds(1'700'000'000));
}

TEST_CASE("what cannot be read is absent", "[unit]") {
  const TempFolder folder;
  ProcNodeReader reader(folder.path());
  const NodeFacts facts = reader.Read({"eth0"});
  CHECK_FALSE(facts.capabilities.has_value());
  CHECK_FALSE(facts.forwarding.has_value());
  CHECK_FALSE(facts.forwarding6.has_value());
  CHECK(facts.rp_filter.empty());
}

TEST_CASE("where the old iptables have tables, kube-proxy may be there and is not missed", "[unit]") {
  const TempFolder folder;
  Write(folder.path() + "/net/ip_tables_names", "filter\nnat\n");
  ProcNodeReader reader(folder.path());
  CHECK_FALSE(reader.Read({}).kube_proxy_known);
}

}  // namespace
}  // namespace berth::agent
