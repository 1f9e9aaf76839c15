// SPDX-License-Identifier: Apache-2.0
// What reaches the node's own ports through an address of Services, from the wire and from the node itself.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <regex>

#include "agent/effect/kernel/linux_kernel.h"
#include "tests/net/kernel/lab.h"

namespace berth::agent {
namespace {

constexpr std::uint16_t kDeclared = 80, kHostPort = 9100;
const char* const kVip = "10.9.0.50";
const char* const kVip6 = "fd00::50";

// An IPv6 socket; IPv4 addresses are written into it as IPv6 has them.
class Socket {
 public:
  explicit Socket(int type) : fd_(socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    REQUIRE(fd_ >= 0);
    const int off = 0;
    REQUIRE(setsockopt(fd_, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0);
  }
  ~Socket() { close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  void Bind(const char* address, std::uint16_t port) {
    const sockaddr_in6 to = To(address, port);
    REQUIRE(bind(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  }
  void Connect(const char* address, std::uint16_t port) {
    const sockaddr_in6 to = To(address, port);
    const int result = connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    REQUIRE((result == 0 || errno == EINPROGRESS));
  }
  void Write(std::size_t bytes = 1) {
    const std::string data(bytes, 'x');
    REQUIRE(send(fd_, data.data(), data.size(), 0) == static_cast<ssize_t>(bytes));
  }
  bool Is(short events) const {
    pollfd look{.fd = fd_, .events = events, .revents = 0};
    return poll(&look, 1, 0) == 1 && (look.revents & events) != 0;
  }
  // Bytes of the datagram that is there.
  ssize_t Read() {
    std::string data(65536, '\0');
    return recv(fd_, data.data(), data.size(), 0);
  }
  std::uint16_t port() const {
    sockaddr_in6 own{};
    socklen_t size = sizeof own;
    REQUIRE(getsockname(fd_, reinterpret_cast<sockaddr*>(&own), &size) == 0);
    return ntohs(own.sin6_port);
  }
  int fd() const { return fd_; }

 private:
  static sockaddr_in6 To(const char* address, std::uint16_t port) {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(port);
    const std::string text = (Ip(address).is_v4() ? "::ffff:" : "") + std::string(address);
    REQUIRE(inet_pton(AF_INET6, text.c_str(), &to.sin6_addr) == 1);
    return to;
  }
  int fd_;
};

// A node with listeners on both ports, bound to all addresses, and the two addresses of Services local on eth0.
struct Node {
  Lab lab;
  LinuxKernel kernel{lab.loop()};
  Socket tcp_declared{SOCK_STREAM}, tcp_host{SOCK_STREAM}, udp_declared{SOCK_DGRAM}, udp_host{SOCK_DGRAM};
  Silence silence{.addresses = {Ip(kVip), Ip(kVip6)},
                  .rewrite = {{"eth0", Ip("10.9.0.2")}},
                  .rewrite6 = {{"eth0", Ip("fd00::2")}},
                  .guarded = {Ip(kVip), Ip(kVip6)},
                  .open = {{Ip(kVip), IPPROTO_TCP, kDeclared},
                           {Ip(kVip), IPPROTO_UDP, kDeclared},
                           {Ip(kVip6), IPPROTO_TCP, kDeclared},
                           {Ip(kVip6), IPPROTO_UDP, kDeclared}}};

  Node() {
    for (auto* socket : {&tcp_declared, &tcp_host, &udp_declared, &udp_host}) {
      socket->Bind("::", socket == &tcp_declared || socket == &udp_declared ? kDeclared : kHostPort);
    }
    for (auto* socket : {&tcp_declared, &tcp_host}) REQUIRE(listen(socket->fd(), 8) == 0);
    REQUIRE(kernel.Start(lab.observer()).ok());
    for (const char* vip : {kVip, kVip6}) {
      REQUIRE(kernel.AddAddress(lab.Link("eth0")->index, Ip(vip)).ok());
      lab.Peer(std::string("ip neigh replace ") + vip + " lladdr 02:00:00:00:00:02 dev p0");
    }
    // An IPv6 address is local a moment after it was added.
    REQUIRE(lab.Await([&] { return lab.Read("ip -6 route show table local").find(kVip6) != std::string::npos; }));
    Apply();
  }
  void Apply() {
    REQUIRE(kernel.ApplySilence(silence).ok());
    REQUIRE(kernel.host_ports_status().ok());
  }
  void ForgetConntrack() {
    lab.Node(
        "nft delete rule inet berth input handle "
        "$(nft -a list chain inet berth input | sed -n 's/.*ct state.*handle //p')");
  }
  int Dropped() {
    const std::string rules = lab.Read("nft list ruleset");
    const std::regex drops("counter packets ([0-9]+) bytes [0-9]+ drop");
    int sum = 0;
    const auto inet = rules.find("table inet berth");
    if (inet == std::string::npos) return 0;
    for (std::sregex_iterator it(rules.begin() + static_cast<std::ptrdiff_t>(inet), rules.end(), drops), end; it != end;
         ++it) {
      sum += std::stoi((*it)[1]);
    }
    return sum;
  }
  // Whether the peer's echo request is answered.
  bool Pings(const char* address) {
    const bool four = Ip(address).is_v4();
    lab.peer().Enter();
    const int fd = socket(four ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                          four ? static_cast<int>(IPPROTO_ICMP) : static_cast<int>(IPPROTO_ICMPV6));
    lab.node().Enter();
    REQUIRE(fd >= 0);
    const std::string bytes = Ip(address).ToBytes();
    sockaddr_in to4{};
    to4.sin_family = AF_INET;
    sockaddr_in6 to6{};
    to6.sin6_family = AF_INET6;
    bytes.copy(four ? reinterpret_cast<char*>(&to4.sin_addr) : reinterpret_cast<char*>(&to6.sin6_addr), bytes.size());
    // Type 8, with the checksum that goes with it and nothing else; the kernel computes that of type 128.
    const std::string request = four ? std::string("\x08\0\xf7\xff\0\0\0\0", 8) : std::string("\x80\0\0\0\0\0\0\0", 8);
    const auto* to = four ? reinterpret_cast<const sockaddr*>(&to4) : reinterpret_cast<const sockaddr*>(&to6);
    REQUIRE(sendto(fd, request.data(), request.size(), 0, to, four ? sizeof to4 : sizeof to6) == 8);
    const int before = Dropped();
    bool answered = false;
    REQUIRE(lab.Await([&] {
      std::string data(2048, '\0');
      const ssize_t got = recv(fd, data.data(), data.size(), 0);
      answered |= four ? got >= 28 && data[20] == 0 : got >= 8 && data[0] == '\x81';
      return answered || Dropped() > before;
    }));
    close(fd);
    return answered;
  }
  // Whether something sent there comes to the listener: it is seen to come, or seen to be dropped.
  bool Reaches(const Netns& from, int type, const char* address, std::uint16_t port) {
    CAPTURE(type, address, port);
    const int before = Dropped();
    from.Enter();
    Socket client(type);
    client.Connect(address, port);
    if (type == SOCK_DGRAM) client.Write();
    lab.node().Enter();
    Socket& listener = port == kDeclared ? (type == SOCK_STREAM ? tcp_declared : udp_declared)
                                         : (type == SOCK_STREAM ? tcp_host : udp_host);
    bool came = false;
    REQUIRE(lab.Await([&] {
      came = listener.Is(POLLIN) && (type == SOCK_DGRAM || client.Is(POLLOUT));
      return came || Dropped() > before;
    }));
    if (came && type == SOCK_DGRAM) CHECK(listener.Read() == 1);
    if (came && type == SOCK_STREAM) close(accept(listener.fd(), nullptr, nullptr));
    return came;
  }
};

}  // namespace

TEST_CASE("only declared ports are reached through an address of Services, and all through the node's own", "[net]") {
  Node node;
  const Netns& peer = node.lab.peer();
  const int type = GENERATE(as<int>{}, SOCK_STREAM, SOCK_DGRAM);
  const bool six = GENERATE(false, true);
  const char* const vip = six ? kVip6 : kVip;
  const char* const own = six ? "fd00::2" : "10.9.0.2";
  CHECK(node.Reaches(peer, type, vip, kDeclared));
  CHECK_FALSE(node.Reaches(peer, type, vip, kHostPort));
  CHECK(node.Reaches(peer, type, own, kDeclared));
  CHECK(node.Reaches(peer, type, own, kHostPort));
  CHECK(node.Pings(vip));

  // Declared later, and no more.
  const OpenPort added{Ip(vip), static_cast<std::uint8_t>(type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP), kHostPort};
  node.silence.open.insert(std::lower_bound(node.silence.open.begin(), node.silence.open.end(), added), added);
  node.Apply();
  CHECK(node.Reaches(peer, type, vip, kHostPort));
  std::erase(node.silence.open, added);
  node.Apply();
  CHECK_FALSE(node.Reaches(peer, type, vip, kHostPort));

  node.lab.Node("nft delete table inet berth");
  CHECK(node.Reaches(peer, type, vip, kHostPort));
}

TEST_CASE("an address that is not guarded keeps all its ports", "[net]") {
  Node node;
  std::erase(node.silence.guarded, Ip(kVip));
  node.Apply();
  CHECK(node.Reaches(node.lab.peer(), SOCK_STREAM, kVip, kHostPort));
  CHECK_FALSE(node.Reaches(node.lab.peer(), SOCK_STREAM, kVip6, kHostPort));
}

TEST_CASE("a guarded address of which no port is open answers echo requests only", "[net]") {
  Node node;
  node.silence.open.clear();
  node.Apply();
  CHECK_FALSE(node.Reaches(node.lab.peer(), SOCK_STREAM, kVip, kDeclared));
  CHECK(node.Pings(kVip));
  CHECK(node.Pings(kVip6));
}

TEST_CASE("the node itself reaches declared ports, and no others, with and without connection tracking", "[net]") {
  Node node;
  if (GENERATE(false, true)) node.ForgetConntrack();
  const int type = GENERATE(as<int>{}, SOCK_STREAM, SOCK_DGRAM);
  const char* const vip = GENERATE(as<const char*>{}, kVip, kVip6);
  CHECK(node.Reaches(node.lab.node(), type, vip, kDeclared));
  CHECK_FALSE(node.Reaches(node.lab.node(), type, vip, kHostPort));
}

TEST_CASE("answers come in to what the node began from an address of Services", "[net]") {
  Node node;
  const char* const vip = GENERATE(as<const char*>{}, kVip, kVip6);
  const char* const peer = vip == kVip ? "10.9.0.1" : "fd00::1";
  node.lab.peer().Enter();
  Socket server(SOCK_DGRAM);
  server.Bind(peer, kHostPort);
  node.lab.node().Enter();
  Socket client(SOCK_DGRAM);
  client.Bind(vip, 0);
  client.Connect(peer, kHostPort);
  client.Write();
  REQUIRE(node.lab.Await([&] { return server.Is(POLLIN); }));
  server.Connect(vip, client.port());
  server.Write();
  CHECK(node.lab.Await([&] { return client.Is(POLLIN); }, absl::Seconds(5)));
}

TEST_CASE("a datagram in fragments comes to a declared port, with and without connection tracking", "[net]") {
  Node node;
  if (GENERATE(false, true)) node.ForgetConntrack();
  const char* const vip = GENERATE(as<const char*>{}, kVip, kVip6);
  node.lab.peer().Enter();
  Socket client(SOCK_DGRAM);
  client.Connect(vip, kDeclared);
  client.Write(4000);
  node.lab.node().Enter();
  REQUIRE(node.lab.Await([&] { return node.udp_declared.Is(POLLIN); }, absl::Seconds(5)));
  CHECK(node.udp_declared.Read() == 4000);
}

TEST_CASE("where nothing is guarded there is no table, and so no tracking of connections", "[net]") {
  Lab lab;
  LinuxKernel kernel(lab.loop());
  REQUIRE(kernel.Start(lab.observer()).ok());
  const Silence nothing{.addresses = {Ip(kVip)}};
  REQUIRE(kernel.ApplySilence(nothing).ok());
  CHECK(lab.Read("nft list tables").find("inet") == std::string::npos);

  Silence silence = nothing;
  silence.guarded = {Ip(kVip)};
  REQUIRE(kernel.ApplySilence(silence).ok());
  CHECK(lab.Read("nft list tables").find("inet") != std::string::npos);
  LinuxKernel later(lab.loop());
  REQUIRE(later.ApplySilence(nothing).ok());
  CHECK(lab.Read("nft list tables").find("inet") == std::string::npos);
}

TEST_CASE("where ports cannot be shut the kernel keeps silent all the same, and says why", "[net]") {
  Lab lab;
  LinuxKernel kernel(lab.loop());
  REQUIRE(kernel.Start(lab.observer()).ok());
  // A table of our name that belongs to another process: nobody else may touch it while that lives.
  FILE* owner = popen("exec nft -i", "w");
  REQUIRE(owner != nullptr);
  std::fputs("add table inet berth { flags owner; }\n", owner);
  std::fflush(owner);
  REQUIRE(lab.Await([&] { return lab.Read("nft list tables").find("inet berth") != std::string::npos; }));
  const Silence silence{.addresses = {Ip(kVip)}, .guarded = {Ip(kVip)}};
  CHECK(kernel.ApplySilence(silence).ok());
  CHECK(kernel.host_ports_status().code() == absl::StatusCode::kPermissionDenied);
  CHECK(lab.Read("nft list set arp berth addresses").find(kVip) != std::string::npos);
  CHECK_FALSE(kernel.RemoveEverything().ok());
  CHECK(lab.Read("nft list tables").find("arp berth") == std::string::npos);

  pclose(owner);
  REQUIRE(lab.Await([&] { return lab.Read("nft list tables").find("inet berth") == std::string::npos; }));
  CHECK(kernel.ApplySilence(silence).ok());
  CHECK(kernel.host_ports_status().ok());
  CHECK(lab.Read("nft list set inet berth guarded4").find(kVip) != std::string::npos);
}

TEST_CASE("the ports of ten thousand addresses are shut at once, and one more costs little", "[net]") {
  Node node;
  node.silence.guarded.clear();
  node.silence.open.clear();
  const auto add = [&](const IpAddr& address) {
    node.silence.guarded.push_back(address);
    node.silence.open.push_back({address, IPPROTO_TCP, kDeclared});
  };
  for (std::uint32_t i = 0; i < 10000; ++i) add(IpAddr::V6(absl::MakeUint128(0xfd01ULL << 48, i)));
  const absl::Time start = node.lab.loop().Now();
  node.Apply();
  const absl::Duration whole = node.lab.loop().Now() - start;
  absl::Duration best = absl::InfiniteDuration();
  for (std::uint32_t i = 0; i < 100; ++i) {
    add(IpAddr::V6(absl::MakeUint128(0xfd02ULL << 48, i)));
    const absl::Time begin = node.lab.loop().Now();
    node.Apply();
    best = std::min(best, node.lab.loop().Now() - begin);
  }
  INFO("all " << whole << ", one more " << best);
  CHECK(best * 3 < whole);  // the best of many, for machines are busy
  const std::string open = node.lab.Read("nft list set inet berth open6");
  CHECK(open.find("fd01::270f . tcp . 80") != std::string::npos);
  CHECK(open.find("fd02::63 . tcp . 80") != std::string::npos);
  node.lab.Settle();
  CHECK(node.lab.observer().disturbed == 0);
}

}  // namespace berth::agent
