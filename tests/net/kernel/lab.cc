// SPDX-License-Identifier: Apache-2.0
#include "tests/net/kernel/lab.h"
#include "tests/await.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace berth::agent {
namespace {

std::unique_ptr<RealEventLoop> NewLoop() {
  absl::StatusOr<std::unique_ptr<RealEventLoop>> loop = RealEventLoop::Create();
  REQUIRE(loop.ok());
  return *std::move(loop);
}

}  // namespace

Netns Netns::Current() {
  const int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  return Netns(fd);
}

Netns Netns::Create() {
  const Netns before = Current();
  INFO("the net tier needs root");
  REQUIRE(unshare(CLONE_NEWNET) == 0);
  Netns made = Current();
  before.Enter();
  return made;
}

Netns::Netns(Netns&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
Netns::~Netns() {
  if (fd_ >= 0) close(fd_);
}
void Netns::Enter() const {
  if (setns(fd_, CLONE_NEWNET) != 0) std::abort();  // everything after would happen to the wrong namespace
}
std::string Netns::path() const { return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd_); }

Lab::Lab() : home_(Netns::Current()), node_(Netns::Create()), peer_(Netns::Create()), loop_(NewLoop()) {
  node_.Enter();
  Node("ip link set lo up");
  Node("ip link add eth0 address 02:00:00:00:00:02 type veth peer name p0 address 02:00:00:00:00:01 netns " +
       peer_.path());
  // No link-local addresses, which come and change by themselves.
  Node("ip link set eth0 addrgenmode none");
  Peer("ip link set p0 addrgenmode none");
  Peer("ip addr add 10.9.0.1/24 dev p0 && ip addr add fd00::1/64 dev p0 nodad && ip link set p0 up");
  Node("ip addr add 10.9.0.2/24 dev eth0 && ip addr add fd00::2/64 dev eth0 nodad && ip link set eth0 up");
  // The kernel calls a link usable a little after it was raised.
  Node("timeout 20 sh -c 'until ip -br link show eth0 | grep -q \" UP \"; do :; done'");
}

Lab::~Lab() { home_.Enter(); }

void Lab::Node(const std::string& command) {
  CAPTURE(command);
  REQUIRE(std::system(command.c_str()) == 0);
}

void Lab::Peer(const std::string& command) {
  peer_.Enter();
  const int result = std::system(command.c_str());
  node_.Enter();
  CAPTURE(command);
  REQUIRE(result == 0);
}

std::string Lab::Read(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  std::array<char, 4096> buffer{};
  while (const std::size_t got = fread(buffer.data(), 1, buffer.size(), pipe)) text.append(buffer.data(), got);
  pclose(pipe);
  return text;
}

bool Lab::Await(const std::function<bool()>& done, absl::Duration deadline) { return AwaitOn(*loop_, done, deadline); }

void Lab::Settle() {
  // A few turns: an fd that is ready may post, a post may set a timer that is due.
  int turns = 0;
  Await([&] { return ++turns > 40; });
}

bool Lab::Has(const std::string& link, const std::string& cidr) const {
  const berth::agent::Link* found = Link(link);
  if (found == nullptr) return false;
  for (const LinkAddress& address : found->addresses) {
    if (address.cidr == *Cidr::Parse(cidr)) return true;
  }
  return false;
}

}  // namespace berth::agent
