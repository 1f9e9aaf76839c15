// SPDX-License-Identifier: Apache-2.0
// agent/health/node_facts.h -- what an agent reads of its node to judge it, and the seam that reads it.
//
// Two implementations: ProcNodeReader (proc_node_reader.h) and FakeNodeReader (tests/fakes).
#ifndef BERTH_AGENT_HEALTH_NODE_FACTS_H_
#define BERTH_AGENT_HEALTH_NODE_FACTS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace berth::agent {

// How kube-proxy directs packets for a Service to its pods.
enum class KubeProxyMode : std::uint8_t { kIptables, kIpvs, kNftables };

// What could not be read is absent, and then nothing is said about it.
struct NodeFacts {
  absl::Time wall = absl::InfinitePast();       // the node's clock as this was read
  std::optional<std::uint64_t> capabilities{};  // effective ones of this process, a bit each
  std::optional<bool> forwarding{};             // net.ipv4.ip_forward
  std::optional<bool> forwarding6{};            // net.ipv6.conf.all.forwarding
  // Interface -> what the kernel goes by there: the greater of net.ipv4.conf.all.rp_filter and its own. 1 is strict.
  std::map<std::string, int> rp_filter{};
  // The modes of which something is there. More than one: what an earlier mode left behind is still in force.
  std::set<KubeProxyMode> kube_proxy{};
  // Whether all that kube-proxy or its replacement might have set could be looked at. No mode found means none then.
  bool kube_proxy_known = false;
  bool in_kubernetes = false;  // this process runs in a pod
  friend bool operator==(const NodeFacts&, const NodeFacts&) = default;
};

class NodeReader {
 public:
  virtual ~NodeReader() = default;
  // Reads all of it; of rp_filter that of `interfaces`. Takes well below a millisecond and waits for nobody. Loop
  // thread only.
  virtual NodeFacts Read(const std::vector<std::string>& interfaces) = 0;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_HEALTH_NODE_FACTS_H_
