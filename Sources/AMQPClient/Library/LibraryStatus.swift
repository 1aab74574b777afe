import CRabbitMQ
import Glibc

extension AMQPError {
    /// An error of the library, with its own text and, where they say anything, the system's or OpenSSL's.
    init(status: Int32, _ code: Code, _ what: String) {
        let systemError = errno
        var message = "\(what): \(String(cString: amqp_error_string2(status)))"
        let isSystem = status == AMQP_STATUS_SOCKET_ERROR.rawValue || status == AMQP_STATUS_TCP_ERROR.rawValue
        if isSystem, systemError != 0 { message += " (\(describe(systemError)))" }
        let isTLS = status == AMQP_STATUS_SSL_ERROR.rawValue || status == AMQP_STATUS_SSL_CONNECTION_FAILED.rawValue
        if isTLS, let reason = crmq_tls_failure() { message += " (\(String(cString: reason)))" }
        self.init(code, message, libraryStatus: status, systemError: isSystem ? systemError : nil)
    }
}
