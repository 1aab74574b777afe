import CRabbitMQ
import Glibc

/// Sets the name of the calling thread, which tools such as `top` show.
func nameThisThread(_ name: String) {
    String(name.prefix(15)).withCString { crmq_name_this_thread($0) }
}

/// An event descriptor that wakes a thread waiting for a socket.
final class WakeDescriptor: Sendable {
    private let descriptor: Int32

    init() throws(AMQPError) {
        self.descriptor = crmq_eventfd()
        guard self.descriptor >= 0 else {
            throw AMQPError(
                .connectionFailed,
                "cannot create an event descriptor: \(describe(errno))",
                systemError: errno
            )
        }
    }

    deinit { Glibc.close(descriptor) }

    func signal() {
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }

    /// Waits until the socket is ready as planned, `signal` is called, or the time has elapsed.
    func wait(_ plan: TurnPlan) {
        let events = Int16(POLLIN) | (plan.wantsToWrite ? Int16(POLLOUT) : 0)
        var set = (
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: plan.socket, events: events, revents: 0)
        )
        withUnsafeMutableBytes(of: &set) { bytes in
            let entries = bytes.bindMemory(to: pollfd.self)
            _ = poll(entries.baseAddress, 2, plan.wait.pollMilliseconds)
            if entries[0].revents != 0 {
                var count: UInt64 = 0
                _ = read(descriptor, &count, 8)
            }
        }
    }
}
