// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/client/curl_handle.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace berth::kube {
namespace {

constexpr std::size_t kMaxErrorBody = 64 * 1024;
constexpr absl::Duration kMaxRetryAfter = absl::Seconds(30);

// Copied: the secrets may change while the transfer waits for its connection. curl only reads them.
curl_blob Blob(const std::string& bytes) {
  return {const_cast<char*>(bytes.data()), bytes.size(), CURL_BLOB_COPY};  // NOLINT
}

const char* Word(Method method) {
  switch (method) {
    case Method::kGet:
      return "GET";
    case Method::kPost:
      return "POST";
    case Method::kPut:
      return "PUT";
    case Method::kPatch:
      return "PATCH";
    case Method::kDelete:
      return "DELETE";
  }
  return "GET";
}

}  // namespace

CurlHandle::CurlHandle(CurlShared& shared, Transfer transfer, const KubeConfig& config,
                       const Credentials::Secrets& secrets)
    : shared_(shared), transfer_(std::move(transfer)), easy_(curl_easy_init()), started_(shared.clock.Now()) {
  CURL* easy = easy_.get();
  curl_easy_setopt(easy, CURLOPT_PRIVATE, this);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_.data());
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_PROXY, "");  // whatever the environment says
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, shared_.options.user_agent.c_str());
  const auto milliseconds = [](absl::Duration d) {
    return static_cast<long>(std::max<std::int64_t>(absl::ToInt64Milliseconds(d), 1));
  };
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(shared_.options.connect_timeout));
  const absl::Duration timeout = std::min(transfer_.timeout, transfer_.end_by - started_);
  if (transfer_.stream) {
    deadline_ = started_ + timeout;
  } else {
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, milliseconds(timeout));
  }
  SetUrl(config);
  SetTls(config, secrets);
  if (!secrets.token.empty()) AddHeader("Authorization: Bearer " + secrets.token);
  AddHeader("Accept: application/json");
  SetBody();
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers_.get());
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, &OnRequest);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, this);
  // A connection may outlive the transfer that made it: these belong to all.
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, &OnSocket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &shared_);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, &OnCloseSocket);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, &shared_);
}

// curl checks certificates for the host of the URL. To check them for another name, that one is put into the URL, and
// curl is told where to connect instead.
void CurlHandle::SetUrl(const KubeConfig& config) {
  std::string url = config.server;
  if (!config.tls_server_name.empty()) {
    const std::size_t begin = url.find("://") + 3;
    const std::size_t end = std::min(url.find('/', begin), url.size());
    const std::string authority = url.substr(begin, end - begin);
    const std::size_t colon = authority.rfind(':');
    const bool port = colon != std::string::npos && authority.find(']', colon) == std::string::npos;
    url.replace(begin, (port ? colon : authority.size()), config.tls_server_name);
    const std::string to = absl::StrCat("::", authority, port ? "" : ":");
    connect_to_.reset(curl_slist_append(nullptr, to.c_str()));
    curl_easy_setopt(easy(), CURLOPT_CONNECT_TO, connect_to_.get());
    AddHeader("Host: " + authority);
  }
  curl_easy_setopt(easy(), CURLOPT_URL, (url + transfer_.path).c_str());
}

void CurlHandle::SetTls(const KubeConfig& config, const Credentials::Secrets& secrets) {
  CURL* easy = easy_.get();
  if (config.insecure) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  } else if (!secrets.ca.empty()) {
    curl_blob ca = Blob(secrets.ca);
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca);
  }
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (secrets.certificate.empty()) return;
  curl_blob certificate = Blob(secrets.certificate), key = Blob(secrets.key);
  curl_easy_setopt(easy, CURLOPT_SSLCERTTYPE, "PEM");
  curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &certificate);
  curl_easy_setopt(easy, CURLOPT_SSLKEYTYPE, "PEM");
  curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &key);
}

void CurlHandle::SetBody() {
  if (transfer_.method == Method::kGet) return;
  if (!transfer_.body.empty() || transfer_.method != Method::kDelete) {
    curl_easy_setopt(easy(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer_.body.size()));
    curl_easy_setopt(easy(), CURLOPT_POSTFIELDS, transfer_.body.data());
    AddHeader("Content-Type: " + transfer_.content_type);
    AddHeader("Expect:");  // the body goes at once
  }
  curl_easy_setopt(easy(), CURLOPT_CUSTOMREQUEST, Word(transfer_.method));
}

void CurlHandle::AddHeader(const std::string& line) {
  headers_.reset(curl_slist_append(headers_.release(), line.c_str()));
}

// There is a connection, and the request is about to leave on it.
int CurlHandle::OnRequest(void* self, char*, char*, int, int) {
  auto& handle = *static_cast<CurlHandle*>(self);
  handle.late_ = handle.shared_.clock.Now() > handle.transfer_.not_after;
  // curl tries again by itself when a connection ends before the answer. What was asked may have been done, though,
  // and to do a write twice is the caller's choice.
  handle.twice_ = handle.sent_ && handle.transfer_.method != Method::kGet;
  if (handle.late_ || handle.twice_) return CURL_PREREQFUNC_ABORT;
  handle.sent_ = true;
  return CURL_PREREQFUNC_OK;
}

curl_socket_t CurlHandle::OnSocket(void* data, curlsocktype, curl_sockaddr* address) {
  auto& shared = *static_cast<CurlShared*>(data);
  const int fd = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd < 0) return CURL_SOCKET_BAD;
  const auto set = [fd](int level, int option, int value) { ::setsockopt(fd, level, option, &value, sizeof value); };
  const int dead_after = static_cast<int>(absl::ToInt64Milliseconds(shared.options.dead_after));
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, std::max(1, dead_after / 2000));
  set(IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, dead_after / 4000));
  set(IPPROTO_TCP, TCP_KEEPCNT, 2);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, dead_after);
  shared.sockets.insert(fd);
  return fd;
}

int CurlHandle::OnCloseSocket(void* data, curl_socket_t socket) {
  static_cast<CurlShared*>(data)->sockets.erase(socket);
  return ::close(socket);
}

std::size_t CurlHandle::OnHeader(char* data, std::size_t size, std::size_t n, void* self) {
  return static_cast<CurlHandle*>(self)->Header(std::string(data, size * n));
}

std::size_t CurlHandle::OnBody(char* data, std::size_t size, std::size_t n, void* self) {
  return static_cast<CurlHandle*>(self)->Body(absl::string_view(data, size * n));
}

void CurlHandle::Heard() { shared_.last_byte = heard_at_ = shared_.clock.Now(); }

std::size_t CurlHandle::Header(std::string line) {
  const std::size_t size = line.size();
  Heard();
  long code = 0;
  curl_easy_getinfo(easy(), CURLINFO_RESPONSE_CODE, &code);
  if (code >= 200 && code_ == 0) {
    code_ = static_cast<int>(code);
    head_at_ = heard_at_;
    if (transfer_.stream && code_ < 300) shared_.callbacks.on_begin(transfer_.id);
  }
  if (transfer_.stream && began()) deadline_ = heard_at_ + transfer_.silence;
  absl::AsciiStrToLower(&line);
  constexpr absl::string_view kRetryAfter = "retry-after:";
  if (absl::StartsWith(line, kRetryAfter)) {
    std::int64_t seconds = 1;  // for what is a date
    (void)absl::SimpleAtoi(absl::StripAsciiWhitespace(absl::string_view(line).substr(kRetryAfter.size())), &seconds);
    retry_after_ = std::clamp(absl::Seconds(seconds), absl::ZeroDuration(), kMaxRetryAfter);
  }
  return size;
}

std::size_t CurlHandle::Body(absl::string_view bytes) {
  Heard();
  if (transfer_.stream) deadline_ = heard_at_ + transfer_.silence;
  if (transfer_.stream && code_ < 300) return Lines(bytes);
  if (code_ >= 300) {
    body_.append(bytes.data(), std::min(bytes.size(), kMaxErrorBody - body_.size()));
    return bytes.size();
  }
  too_large_ = body_.size() + bytes.size() > transfer_.max_bytes;
  if (too_large_) return 0;
  body_.append(bytes.data(), bytes.size());
  return bytes.size();
}

std::size_t CurlHandle::Lines(absl::string_view bytes) {
  const std::size_t end = bytes.rfind('\n');
  const std::size_t whole = end == absl::string_view::npos ? 0 : end + 1;
  std::string lines;
  if (whole > 0) {
    lines = std::move(body_);
    lines.append(bytes.data(), whole);
    body_.clear();
  }
  body_.append(bytes.data() + whole, bytes.size() - whole);
  too_large_ = std::max(body_.size(), lines.size()) > transfer_.max_bytes;
  if (too_large_) return 0;
  if (!lines.empty()) shared_.callbacks.on_lines(transfer_.id, std::move(lines));
  return bytes.size();
}

Outcome CurlHandle::Finish(CURLcode result, const std::string& why) {
  Outcome outcome;
  const absl::Time now = shared_.clock.Now();
  outcome.code = code_;
  outcome.took = (transfer_.stream && began() ? head_at_ : now) - started_;
  outcome.retry_after = retry_after_;
  if (late_) {
    outcome.kind = sent_ ? Outcome::Kind::kLost : Outcome::Kind::kLate;
    outcome.error = "the connection ended before an answer came";
    return outcome;
  }
  // A refusal that came whole is one, even if what was to follow got lost.
  if (result == CURLE_OK && why.empty() && began()) {
    outcome.kind = Outcome::Kind::kAnswered;
    if (!transfer_.stream || code_ >= 300) outcome.body = std::move(body_);
    return outcome;
  }
  outcome.kind = sent_ ? Outcome::Kind::kLost : Outcome::Kind::kNotSent;
  if (!why.empty()) {
    outcome.error = why;
  } else if (twice_) {
    outcome.error = "the connection ended before an answer came";
  } else if (too_large_) {
    outcome.error =
        absl::StrCat("the answer has more than ", transfer_.max_bytes, " bytes", transfer_.stream ? " in a line" : "");
  } else {
    outcome.error = error_[0] != '\0' ? error_.data() : curl_easy_strerror(result);
  }
  return outcome;
}

}  // namespace berth::kube
