// SPDX-License-Identifier: Apache-2.0
// tests/fakes/fake_node_reader.h -- a node's settings, as a test says they are.
//
//   FakeNodeReader node;
//   node.facts.forwarding = false;
//   node.ahead = absl::Hours(1);   // its clock is wrong
#ifndef BERTH_TESTS_FAKES_FAKE_NODE_READER_H_
#define BERTH_TESTS_FAKES_FAKE_NODE_READER_H_

#include <string>
#include <vector>

#include "agent/health/node_facts.h"
#include "common/base/event_loop.h"

namespace berth::agent {

class FakeNodeReader final : public NodeReader {
 public:
  explicit FakeNodeReader(EventLoop& loop) : loop_(loop) {}
  NodeFacts Read(const std::vector<std::string>&) override {
    ++reads;
    NodeFacts read = facts;
    read.wall = loop_.WallNow() + ahead;
    return read;
  }

  NodeFacts facts;
  absl::Duration ahead;
  int reads = 0;

 private:
  EventLoop& loop_;
};

}  // namespace berth::agent

#endif  // BERTH_TESTS_FAKES_FAKE_NODE_READER_H_
