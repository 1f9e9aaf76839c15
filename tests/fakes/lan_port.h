// SPDX-License-Identifier: Apache-2.0
// tests/fakes/lan_port.h -- an agent's FramePort on the virtual LAN: the real answering logic behind a virtual wire.
//
// What the kernel captures while the process stands still is judged when it goes on, by its age, as libpcap's buffer
// would be. Once the port is destroyed (its process ended) it is silent.
#ifndef BERTH_TESTS_FAKES_LAN_PORT_H_
#define BERTH_TESTS_FAKES_LAN_PORT_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/effect/l2/frame_port.h"
#include "tests/fakes/process_loop.h"

namespace berth::agent {

class LanPort final : public FramePort {
 public:
  // `send` puts a frame on the segment behind the interface; false: there is no such interface. Both are borrowed.
  using SendFunction = std::function<bool(int ifindex, const std::string& frame)>;
  LanPort(ProcessLoop& process, SendFunction send) : process_(process), send_(std::move(send)) {}

  absl::Status Start(Observer& observer) override;
  void SetInterfaces(const std::vector<PortInterface>& interfaces) override;
  void Publish(std::shared_ptr<const AnswerTable> table) override { table_ = std::move(table); }
  void AnswerUntil(absl::Time until) override { answer_until_ = until; }
  absl::Status Send(int ifindex, const std::string& frame) override;
  std::vector<PortStats> Stats() const override;

  // A frame came in on that interface.
  void Receive(int ifindex, const std::string& frame);
  // The process goes on after a freeze, just now: judges what was captured meanwhile. Before the loop runs.
  void CatchUp();
  // Whether a request for `address` that comes in now would be answered.
  bool Answers(const IpAddr& address) const;
  // Whether anything is answered now, and by which table.
  bool speaking() const;
  const std::shared_ptr<const AnswerTable>& table() const { return table_; }
  bool IsOpen(int ifindex) const { return open_.contains(ifindex); }

 private:
  struct Waiting {
    absl::Time captured;
    int ifindex = 0;
    std::string frame;
  };
  bool Answers(int ifindex, const IpAddr& address) const;
  void Judge(int ifindex, const std::string& frame, absl::Duration age);

  ProcessLoop& process_;
  const SendFunction send_;
  Observer* observer_ = nullptr;
  std::map<int, PortStats> open_;
  std::shared_ptr<const AnswerTable> table_ = std::make_shared<AnswerTable>();
  absl::Time answer_until_ = absl::InfinitePast();
  std::deque<Waiting> waiting_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace berth::agent

#endif  // BERTH_TESTS_FAKES_LAN_PORT_H_
