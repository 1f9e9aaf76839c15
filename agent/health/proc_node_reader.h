// SPDX-License-Identifier: Apache-2.0
// agent/health/proc_node_reader.h -- reads the node's facts: /proc, and whether kube-proxy's tables and chains are
// there.
#ifndef BERTH_AGENT_HEALTH_PROC_NODE_READER_H_
#define BERTH_AGENT_HEALTH_PROC_NODE_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/health/node_facts.h"

namespace berth::agent {

class ProcNodeReader final : public NodeReader {
 public:
  // `proc` is where that file system is mounted. Tables are those of the network namespace this is made in.
  explicit ProcNodeReader(std::string proc = "/proc");
  ~ProcNodeReader() override;
  NodeFacts Read(const std::vector<std::string>& interfaces) override;

 private:
  class Tables;
  std::optional<int> Number(const std::string& path) const;
  std::optional<std::uint64_t> Capabilities() const;
  void ReadKubeProxy(NodeFacts& facts);

  const std::string proc_;
  const std::unique_ptr<Tables> tables_;
};

}  // namespace berth::agent

#endif  // BERTH_AGENT_HEALTH_PROC_NODE_READER_H_
