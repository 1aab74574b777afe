import CRabbitMQ
import Glibc

/// The text of an `errno`.
func describe(_ code: Int32) -> String { String(cString: strerror(code)) }

extension Duration {
    /// The milliseconds for `poll(2)`, rounded up.
    var pollMilliseconds: Int32 {
        let (seconds, attoseconds) = self.components
        return Int32(clamping: seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }

    /// The value for C calls that take seconds and microseconds.
    var timeValue: timeval {
        let (seconds, attoseconds) = self.components
        return timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
    }
}
