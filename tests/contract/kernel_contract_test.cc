// SPDX-License-Identifier: Apache-2.0
// What the Kernel seam promises, asked of the fake in memory and of Linux itself (in a network namespace of its own;
// left out without root).
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

#include "agent/effect/kernel/linux_kernel.h"
#include "common/base/real_event_loop.h"
#include "tests/await.h"
#include "tests/fakes/fake_kernel.h"

namespace berth::agent {
namespace {

IpAddr Ip(const char* text) { return *IpAddr::Parse(text); }

struct Recorder : Kernel::Observer {
  void OnKernelState(std::shared_ptr<const KernelState> s) override {
    state = std::move(s);
    ++states;
  }
  void OnSilenceDisturbed() override { ++disturbed; }
  std::shared_ptr<const KernelState> state;
  int states = 0;
  int disturbed = 0;
};

// A node with an interface eth0 (10.9.0.2/24), and what the world may do to it.
class World {
 public:
  World() : loop_(*RealEventLoop::Create()) {}
  virtual ~World() = default;
  virtual Kernel& kernel() = 0;
  virtual void AddForeignAddress(const std::string& link, const char* cidr) = 0;
  virtual void AddLink(const std::string& name) = 0;
  virtual void RemoveLink(const std::string& name) = 0;
  virtual void FlushRuleset() = 0;
  // Whether a datagram that the node sends itself comes to what listens on that port of all its addresses.
  virtual bool Comes(const char* address, std::uint16_t port) = 0;

  RealEventLoop& loop() { return *loop_; }
  // Runs the loop until `done`, at most 20 s.
  bool Await(const std::function<bool()>& done) { return AwaitOn(*loop_, done); }

 protected:
  std::unique_ptr<RealEventLoop> loop_;
};

class FakeWorld : public World {
 public:
  FakeWorld() : kernel_(loop()) {
    AddLink("eth0");
    AddForeignAddress("eth0", "10.9.0.2/24");
  }
  Kernel& kernel() override { return kernel_; }
  void AddForeignAddress(const std::string& link, const char* cidr) override {
    kernel_.AddForeignAddress(kernel_.state().Find(link)->index, *Cidr::Parse(cidr));
  }
  void AddLink(const std::string& name) override {
    kernel_.SetLink({.index = kernel_.state().links.back().index + 1, .name = name, .mac = {}, .up = true});
  }
  void RemoveLink(const std::string& name) override { kernel_.RemoveLink(kernel_.state().Find(name)->index); }
  void FlushRuleset() override { kernel_.FlushRuleset(); }
  bool Comes(const char* address, std::uint16_t port) override {
    return kernel_.IsLocal(Ip(address)) && kernel_.Admits(Ip(address), IPPROTO_UDP, port);
  }

 private:
  FakeKernel kernel_;
};

class LinuxWorld : public World {
 public:
  LinuxWorld() : home_(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    REQUIRE(home_ >= 0);
    REQUIRE(unshare(CLONE_NEWNET) == 0);
    Run("ip link set lo up");
    AddLink("eth0");
    AddForeignAddress("eth0", "10.9.0.2/24");
    kernel_ = std::make_unique<LinuxKernel>(loop());
  }
  ~LinuxWorld() override {
    kernel_.reset();
    if (setns(home_, CLONE_NEWNET) != 0) std::abort();
    close(home_);
  }
  Kernel& kernel() override { return *kernel_; }
  void AddForeignAddress(const std::string& link, const char* cidr) override {
    Run("ip addr add " + std::string(cidr) + " dev " + link);
  }
  void AddLink(const std::string& name) override {
    Run("ip link add " + name + " type bridge && ip link set " + name + " addrgenmode none && ip link set " + name +
        " up");
  }
  void RemoveLink(const std::string& name) override { Run("ip link del " + name); }
  void FlushRuleset() override { Run("nft flush ruleset"); }
  bool Comes(const char* address, std::uint16_t port) override {
    const int listener = Udp(), sender = Udp();
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(port);
    REQUIRE(bind(listener, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
    const std::string text = (Ip(address).is_v4() ? "::ffff:" : "") + std::string(address);
    REQUIRE(inet_pton(AF_INET6, text.c_str(), &to.sin6_addr) == 1);
    // An IPv6 address is local a moment after it was added.
    REQUIRE(Await([&] { return sendto(sender, "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 1; }));
    // What comes later, and comes anyway.
    REQUIRE(inet_pton(AF_INET6, "::1", &to.sin6_addr) == 1);
    REQUIRE(sendto(sender, "control", 7, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 7);
    ssize_t first = -1;
    std::array<char, 16> data{};
    REQUIRE(Await([&] { return (first = recv(listener, data.data(), data.size(), 0)) > 0; }));
    close(listener);
    close(sender);
    return first == 1;
  }

 private:
  static int Udp() {
    const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    REQUIRE(fd >= 0);
    const int off = 0;
    REQUIRE(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0);
    return fd;
  }
  static void Run(const std::string& command) {
    CAPTURE(command);
    REQUIRE(std::system(command.c_str()) == 0);
  }
  int home_;
  std::unique_ptr<LinuxKernel> kernel_;
};

std::unique_ptr<World> NewWorld(const std::string& which) {
  if (which == "fake") return std::make_unique<FakeWorld>();
  if (geteuid() != 0) return nullptr;
  return std::make_unique<LinuxWorld>();
}

// Runs the rest of a test case in each world.
#define IN_EACH_WORLD(world)                                              \
  const std::string which = GENERATE(as<std::string>{}, "fake", "linux"); \
  CAPTURE(which);                                                         \
  const std::unique_ptr<World> world = NewWorld(which);                   \
  if (world == nullptr) return

bool Has(const Recorder& recorder, const std::string& link, const LinkAddress& address) {
  const Link* found = recorder.state->Find(link);
  return found != nullptr &&
         std::find(found->addresses.begin(), found->addresses.end(), address) != found->addresses.end();
}

}  // namespace

TEST_CASE("a kernel tells the first state before Start returns and later ones by itself", "[contract]") {
  IN_EACH_WORLD(world);
  Recorder recorder;
  REQUIRE(world->kernel().Start(recorder).ok());
  REQUIRE(recorder.states == 1);
  CHECK(Has(recorder, "eth0", {.cidr = *Cidr::Parse("10.9.0.2/24"), .ours = false}));
  CHECK(recorder.state->Find("lo")->loopback);

  world->AddLink("eth1");
  world->AddForeignAddress("eth1", "10.9.1.2/24");
  CHECK(world->Await([&] { return Has(recorder, "eth1", {.cidr = *Cidr::Parse("10.9.1.2/24"), .ours = false}); }));
  world->RemoveLink("eth1");
  CHECK(world->Await([&] { return recorder.state->Find("eth1") == nullptr; }));
}

TEST_CASE("a kernel has links ordered by index and addresses in order", "[contract]") {
  IN_EACH_WORLD(world);
  world->AddLink("eth1");
  world->AddForeignAddress("eth0", "10.9.0.9/32");
  world->AddForeignAddress("eth0", "10.9.0.1/32");
  Recorder recorder;
  REQUIRE(world->kernel().Start(recorder).ok());
  const auto& links = recorder.state->links;
  CHECK(std::is_sorted(links.begin(), links.end(), [](const Link& a, const Link& b) { return a.index < b.index; }));
  const auto& addresses = recorder.state->Find("eth0")->addresses;
  REQUIRE(addresses.size() == 3);
  CHECK(std::is_sorted(addresses.begin(), addresses.end(),
                       [](const LinkAddress& a, const LinkAddress& b) { return a.cidr < b.cidr; }));
}

TEST_CASE("a kernel chooses the interface for addresses by rule", "[contract]") {
  IN_EACH_WORLD(world);
  Kernel& kernel = world->kernel();
  Recorder recorder;
  REQUIRE(kernel.Start(recorder).ok());
  CHECK_FALSE((*kernel.EnsureVipInterface("none")).has_value());
  CHECK(kernel.EnsureVipInterface("eth9").status().code() == absl::StatusCode::kNotFound);
  const auto named = kernel.EnsureVipInterface("eth0");
  REQUIRE(named.ok());
  CHECK((*named)->index == recorder.state->Find("eth0")->index);
  CHECK_FALSE((*named)->own);

  const auto own = kernel.EnsureVipInterface("auto");
  REQUIRE(own.ok());
  CHECK((*own)->name == "berth0");
  CHECK((*own)->own);
  CHECK((*kernel.EnsureVipInterface("auto"))->index == (*own)->index);
  CHECK(world->Await([&] { return recorder.state->Find("berth0") != nullptr && recorder.state->Find("berth0")->up; }));

  world->AddLink("kube-ipvs0");
  const auto ipvs = kernel.EnsureVipInterface("auto");
  REQUIRE(ipvs.ok());
  CHECK((*ipvs)->name == "kube-ipvs0");
  CHECK_FALSE((*ipvs)->own);
}

TEST_CASE("a kernel adds and removes addresses of ours, twice without harm", "[contract]") {
  IN_EACH_WORLD(world);
  Kernel& kernel = world->kernel();
  Recorder recorder;
  REQUIRE(kernel.Start(recorder).ok());
  const int index = (*kernel.EnsureVipInterface("auto"))->index;
  const char* text = GENERATE("10.9.0.50", "fd00::50");
  const LinkAddress wanted{.cidr = *Cidr::Make(Ip(text), FamilyBits(Ip(text).family())), .ours = true};
  CHECK(kernel.AddAddress(index, Ip(text)).ok());
  CHECK(kernel.AddAddress(index, Ip(text)).ok());
  CHECK(world->Await([&] { return Has(recorder, "berth0", wanted); }));
  CHECK(kernel.RemoveAddress(index, Ip(text)).ok());
  CHECK(kernel.RemoveAddress(index, Ip(text)).ok());
  CHECK(world->Await([&] { return recorder.state->Find("berth0")->addresses.empty(); }));
  CHECK(kernel.AddAddress(4711, Ip(text)).code() == absl::StatusCode::kNotFound);
}

TEST_CASE("a kernel says when it takes in what comes for an IPv6 address", "[contract]") {
  IN_EACH_WORLD(world);
  Kernel& kernel = world->kernel();
  Recorder recorder;
  REQUIRE(kernel.Start(recorder).ok());
  const int index = (*kernel.EnsureVipInterface("auto"))->index;
  for (int i = 0; i < 3; ++i) {
    int told = 0;
    REQUIRE(kernel.AddAddress(index, Ip("fd00::50")).ok());
    for (int waiting = 0; waiting < 2; ++waiting) {
      kernel.AwaitDelivery(Ip("fd00::50"), [&](const absl::Status& status) { told += status.ok() ? 1 : 100; });
    }
    REQUIRE(world->Await([&] { return told >= 2; }));
    CHECK(told == 2);
    REQUIRE(kernel.RemoveAddress(index, Ip("fd00::50")).ok());
  }
}

TEST_CASE("a kernel does not take away what somebody else put there", "[contract]") {
  IN_EACH_WORLD(world);
  Kernel& kernel = world->kernel();
  Recorder recorder;
  REQUIRE(kernel.Start(recorder).ok());
  const int index = recorder.state->Find("eth0")->index;
  CHECK(kernel.AddAddress(index, Ip("10.9.0.2")).ok());
  CHECK(kernel.RemoveAddress(index, Ip("10.9.0.2")).code() == absl::StatusCode::kFailedPrecondition);
  CHECK(kernel.AddAddress(index, Ip("10.9.0.50")).ok());
  CHECK(world->Await([&] { return recorder.state->Find("eth0")->addresses.size() == 2; }));
  CHECK(Has(recorder, "eth0", {.cidr = *Cidr::Parse("10.9.0.2/24"), .ours = false}));
}

TEST_CASE("a kernel reports a broken silence once, and none of our own changes", "[contract]") {
  IN_EACH_WORLD(world);
  Kernel& kernel = world->kernel();
  Recorder recorder;
  REQUIRE(kernel.Start(recorder).ok());
  Silence silence{.addresses = {Ip("10.9.0.50"), Ip("fd00::50")},
                  .rewrite = {{"eth0", Ip("10.9.0.2")}},
                  .rewrite6 = {{"eth0", Ip("fd00::2")}}};
  CHECK(kernel.ApplySilence(silence).ok());
  silence.addresses = {Ip("10.9.0.51")};
  silence.rewrite6 = {{"eth0", Ip("fd00::3")}};
  CHECK(kernel.ApplySilence(silence).ok());
  silence.rewrite.clear();
  silence.rewrite6.clear();
  CHECK(kernel.ApplySilence(silence).ok());
  CHECK(kernel.ApplySilence(silence).ok());
  world->FlushRuleset();
  CHECK(world->Await([&] { return recorder.disturbed > 0; }));
  CHECK(kernel.ApplySilence(silence).ok());
  world->FlushRuleset();
  CHECK(world->Await([&] { return recorder.disturbed > 1; }));
  CHECK(recorder.disturbed == 2);
}

TEST_CASE("a kernel lets only open ports of guarded addresses be reached", "[contract]") {
  IN_EACH_WORLD(world);
  Kernel& kernel = world->kernel();
  Recorder recorder;
  REQUIRE(kernel.Start(recorder).ok());
  const int eth0 = recorder.state->Find("eth0")->index;
  for (const char* vip : {"10.9.0.50", "10.9.0.51", "fd00::50"}) REQUIRE(kernel.AddAddress(eth0, Ip(vip)).ok());
  Silence silence{.addresses = {Ip("10.9.0.50"), Ip("10.9.0.51"), Ip("fd00::50")},
                  .guarded = {Ip("10.9.0.50"), Ip("fd00::50")},
                  .open = {{Ip("10.9.0.50"), IPPROTO_UDP, 53}, {Ip("fd00::50"), IPPROTO_UDP, 54}}};
  REQUIRE(kernel.ApplySilence(silence).ok());
  REQUIRE(kernel.host_ports_status().ok());
  CHECK(world->Comes("10.9.0.50", 53));
  CHECK_FALSE(world->Comes("10.9.0.50", 54));
  CHECK_FALSE(world->Comes("fd00::50", 53));
  CHECK(world->Comes("fd00::50", 54));
  CHECK(world->Comes("10.9.0.51", 54));
  CHECK(world->Comes("10.9.0.2", 54));

  silence.open = {{Ip("10.9.0.50"), IPPROTO_TCP, 54}, {Ip("10.9.0.50"), IPPROTO_UDP, 55}};
  REQUIRE(kernel.ApplySilence(silence).ok());
  CHECK_FALSE(world->Comes("10.9.0.50", 53));
  CHECK_FALSE(world->Comes("10.9.0.50", 54));
  CHECK(world->Comes("10.9.0.50", 55));
  CHECK_FALSE(world->Comes("fd00::50", 54));
  world->FlushRuleset();
  CHECK(world->Await([&] { return recorder.disturbed > 0; }));
  CHECK(world->Comes("10.9.0.50", 53));
  REQUIRE(kernel.ApplySilence(silence).ok());
  CHECK_FALSE(world->Comes("10.9.0.50", 53));

  silence.guarded.clear();
  silence.open.clear();
  REQUIRE(kernel.ApplySilence(silence).ok());
  CHECK(world->Comes("10.9.0.50", 53));
  CHECK(recorder.disturbed == 1);
}

TEST_CASE("a kernel cleans up what is ours and nothing else", "[contract]") {
  IN_EACH_WORLD(world);
  Kernel& kernel = world->kernel();
  Recorder recorder;
  REQUIRE(kernel.Start(recorder).ok());
  const int eth0 = recorder.state->Find("eth0")->index;
  REQUIRE(kernel.AddAddress((*kernel.EnsureVipInterface("auto"))->index, Ip("10.9.0.50")).ok());
  REQUIRE(kernel.AddAddress(eth0, Ip("10.9.0.51")).ok());
  REQUIRE(kernel.ApplySilence({.addresses = {Ip("10.9.0.50")}, .guarded = {Ip("10.9.0.2")}}).ok());
  CHECK(world->Await([&] { return recorder.state->Find("eth0")->addresses.size() == 2; }));
  CHECK_FALSE(world->Comes("10.9.0.2", 53));
  CHECK(kernel.RemoveEverything().ok());
  CHECK(world->Comes("10.9.0.2", 53));
  CHECK(world->Await([&] {
    return recorder.state->Find("berth0") == nullptr && recorder.state->Find("eth0")->addresses.size() == 1;
  }));
  CHECK(kernel.RemoveEverything().ok());
  CHECK(recorder.disturbed == 0);
}

}  // namespace berth::agent
