import Foundation
import Glibc

/// A broker for one connection that answers correctly, except that it mutates some bytes.
final class MutatingServer: @unchecked Sendable {
    /// The port on 127.0.0.1.
    let port: Int
    private let listener: Int32
    private var mutator: Mutator
    private let isChanging: Bool
    /// The number of answers left before the first mutated one.
    private var untouched: Int

    /// Starts a thread that waits at most five seconds for one connection.
    init(seed: UInt64, isChanging: Bool = true) throws {
        mutator = Mutator(seed: seed)
        untouched = mutator.below(8)
        self.isChanging = isChanging
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, size) | listen(listener, 1) | getsockname(listener, address, &size)
            }
        }
        self.listener = listener
        port = Int(UInt16(bigEndian: address.sin_port))
        guard status == 0 else { throw POSIXError(.EADDRNOTAVAIL) }
        Self.bound(listener)
        Thread.detachNewThread { self.serve() }
    }

    private static func bound(_ descriptor: Int32) {
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    private func serve() {
        let connection = accept(listener, nil, nil)
        close(listener)
        guard connection >= 0 else { return }
        defer { close(connection) }
        Self.bound(connection)
        guard read(8, from: connection) != nil else { return }
        send(FrameBytes.start, to: connection)
        while let head = read(7, from: connection) {
            let size = head[3..<7].reduce(0) { $0 << 8 | Int($1) }
            guard let payload = read(size + 1, from: connection) else { return }
            guard head[0] == 1, size >= 4 else { continue }
            let group = UInt16(payload[0]) << 8 | UInt16(payload[1])
            let method = UInt16(payload[2]) << 8 | UInt16(payload[3])
            send(FrameBytes.answer(to: group, method, on: UInt16(head[1]) << 8 | UInt16(head[2])), to: connection)
            guard isChanging, (group, method) == (60, 20) else { continue }
            let surprises = FrameBytes.surprises(on: UInt16(head[1]) << 8 | UInt16(head[2]))
            let first = mutator.below(surprises.count)
            send(Array((surprises[first...] + surprises[..<first]).joined()), to: connection)
            shutdown(connection, Int32(SHUT_WR))
        }
    }

    private func read(_ count: Int, from connection: Int32) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let more = bytes.withUnsafeMutableBytes {
                recv(connection, $0.baseAddress.map { $0 + filled }, count - filled, 0)
            }
            guard more > 0 else { return nil }
            filled += more
        }
        return bytes
    }

    private func send(_ answer: [UInt8], to connection: Int32) {
        var bytes = answer
        untouched -= 1
        if isChanging, untouched < 0, !answer.isEmpty { bytes = mutator.mutation(of: [answer]) }
        _ = bytes.withUnsafeBytes { Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }
}
