import Dispatch
import Glibc

/// The thread of a ``FaultProxy``: waits for all sockets at once and forwards what the mode allows.
struct FaultLoop {
    /// A command of the proxy to its thread.
    enum Command: Sendable {
        case set(FaultMode)
        case resetConnections
        case stop
    }

    private struct Link {
        let client: Int32
        let broker: Int32
        var up: FaultPipe
        var down: FaultPipe
    }

    private let counters: FaultProxy.Counters
    private let wake: Int32
    private let port: Int
    private let brokerPort: Int
    private var listener: Int32
    private var mode = FaultMode.pass
    private var links: [Link] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

    init(_ counters: FaultProxy.Counters, wake: Int32, listener: Int32, port: Int, brokerPort: Int) {
        self.counters = counters
        self.wake = wake
        self.listener = listener
        self.port = port
        self.brokerPort = brokerPort
    }

    /// Runs until the proxy is stopped.
    mutating func run() {
        while true {
            let ready = wait()
            if ready.contains(wake) {
                var bytes: UInt64 = 0
                _ = Glibc.read(wake, &bytes, 8)
                for (command, done) in counters.takeCommands() {
                    let goesOn = obey(command)
                    counters.note(open: links.count)
                    done.signal()
                    guard goesOn else { return }
                }
            }
            if ready.contains(listener) { accept() }
            move(ready)
            counters.note(open: links.count)
        }
    }

    /// Waits until a socket is ready or a write is due, and returns the ready sockets.
    private func wait() -> Set<Int32> {
        var entries = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)]
        if listener >= 0 { entries.append(pollfd(fd: listener, events: Int16(POLLIN), revents: 0)) }
        let now = ContinuousClock.now
        var rest = Duration.seconds(60)
        for link in links {
            for (descriptor, inward, outward) in [(link.client, link.up, link.down), (link.broker, link.down, link.up)]
            {
                var events: Int32 = inward.wantsToRead(mode) ? Int32(POLLIN) : 0
                if let due = outward.nextWrite(mode) {
                    if due <= now { events |= Int32(POLLOUT) } else { rest = min(rest, due - now) }
                }
                // Skips a socket without requested events: poll would report its errors continuously.
                if events != 0 { entries.append(pollfd(fd: descriptor, events: Int16(events), revents: 0)) }
            }
        }
        let milliseconds = Int32(rest / .milliseconds(1)) + (rest > .zero ? 1 : 0)
        _ = poll(&entries, nfds_t(entries.count), milliseconds)
        return Set(entries.filter { $0.revents != 0 }.map(\.fd))
    }

    /// Carries out a command; returns false if the thread must stop.
    private mutating func obey(_ command: Command) -> Bool {
        switch command {
        case .set(let mode): change(to: mode)
        case .resetConnections: resetAll { _ in true }
        case .stop:
            resetAll { _ in true }
            if listener >= 0 { close(listener) }
            buffer.deallocate()
            return false
        }
        return true
    }

    private mutating func change(to mode: FaultMode) {
        self.mode = mode
        for index in links.indices {
            links[index].up.modeChanged()
            links[index].down.modeChanged()
        }
        switch mode {
        case .reset: resetAll { _ in true }
        case .refuse:
            resetAll { _ in true }
            if listener >= 0 { close(listener) }
            listener = -1
            return
        case .swallow: break
        default: resetAll { $0.up.hasHole || $0.down.hasHole }
        }
        if listener < 0 { listener = (try? FaultSocket.listen(on: port)) ?? -1 }
    }

    private mutating func resetAll(where isToGo: (Link) -> Bool) {
        for link in links where isToGo(link) {
            FaultSocket.reset(link.client)
            FaultSocket.reset(link.broker)
        }
        links.removeAll(where: isToGo)
    }

    private mutating func accept() {
        while true {
            let client = Glibc.accept(listener, nil, nil)
            guard client >= 0 else { return }
            counters.noteAccepted()
            guard mode != .reset, let broker = try? FaultSocket.connect(to: brokerPort) else {
                FaultSocket.reset(client)
                continue
            }
            FaultSocket.adopt(client)
            let up = FaultPipe(from: client, to: broker, .toBroker)
            let down = FaultPipe(from: broker, to: client, .fromBroker)
            links.append(Link(client: client, broker: broker, up: up, down: down))
        }
    }

    private mutating func move(_ ready: Set<Int32>) {
        let now = ContinuousClock.now
        for index in links.indices.reversed() {
            var link = links[index]
            do throws(FaultPipe.End) {
                if ready.contains(link.client), link.up.wantsToRead(mode) { try link.up.read(mode, buffer) }
                if ready.contains(link.broker), link.down.wantsToRead(mode) { try link.down.read(mode, buffer) }
                try link.up.write(mode, now)
                try link.down.write(mode, now)
                links[index] = link
                guard link.up.isOver, link.down.isOver else { continue }
                close(link.client)
                close(link.broker)
            } catch {
                if case .cut = error {
                    close(link.client)
                    close(link.broker)
                } else {
                    FaultSocket.reset(link.client)
                    FaultSocket.reset(link.broker)
                }
            }
            links.remove(at: index)
        }
    }
}

/// One direction of a connection of a ``FaultProxy``: the bytes that were read but not forwarded yet.
struct FaultPipe {
    /// The reason why a connection must end.
    enum End: Error {
        /// One side is gone.
        case broken
        /// The byte limit was reached.
        case cut
    }

    private static let mostPending = 256 << 10

    private let source: Int32
    private let target: Int32
    private let direction: FaultMode.Direction
    private var chunks: [(due: ContinuousClock.Instant, bytes: ArraySlice<UInt8>)] = []
    private var pending = 0
    private var forwarded = 0
    private var nextByte = ContinuousClock.now
    private var sourceHasEnded = false
    private var targetWasTold = false
    /// Whether bytes or the end of this direction were dropped, so that whatever follows would be corrupt.
    private(set) var hasHole = false

    init(from source: Int32, to target: Int32, _ direction: FaultMode.Direction) {
        self.source = source
        self.target = target
        self.direction = direction
    }

    /// Whether everything was forwarded, including the end.
    var isOver: Bool { targetWasTold }

    /// Resets the byte count.
    mutating func modeChanged() { forwarded = 0 }

    /// Whether to read more.
    func wantsToRead(_ mode: FaultMode) -> Bool {
        mode != .halt && !sourceHasEnded && pending < Self.mostPending
    }

    /// Returns when the next write is due, or nil if there is nothing to write.
    func nextWrite(_ mode: FaultMode) -> ContinuousClock.Instant? {
        guard mode != .halt, !mode.swallows(direction), let first = chunks.first else { return nil }
        guard case .trickle = mode else { return first.due }
        return max(first.due, nextByte)
    }

    /// Reads the bytes that have arrived.
    mutating func read(_ mode: FaultMode, _ buffer: UnsafeMutableRawBufferPointer) throws(End) {
        let count = recv(source, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
        if count > 0 {
            guard !mode.swallows(direction) else {
                hasHole = true
                return
            }
            let bytes = buffer.prefix(count)
            chunks.append((.now + mode.latency, ArraySlice(bytes)))
            pending += count
        } else if count == 0 {
            sourceHasEnded = true
            hasHole = hasHole || mode.swallows(direction)
        } else if errno != EAGAIN && errno != EINTR {
            guard case .swallow = mode else { throw .broken }
            sourceHasEnded = true
            hasHole = true
        }
    }

    /// Forwards what is due, and the end of the stream after everything else.
    mutating func write(_ mode: FaultMode, _ now: ContinuousClock.Instant) throws(End) {
        while let due = nextWrite(mode), due <= now, let first = chunks.first {
            var part = first.bytes
            if case .trickle = mode { part = part.prefix(1) }
            if let limit = mode.limit(direction) { part = part.prefix(max(0, limit - forwarded)) }
            let sent = part.withUnsafeBytes {
                send(target, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
            }
            guard sent >= 0 else {
                if errno == EAGAIN || errno == EINTR { return }
                throw .broken
            }
            forwarded += sent
            pending -= sent
            chunks[0].bytes = first.bytes.dropFirst(sent)
            if chunks[0].bytes.isEmpty { chunks.removeFirst() }
            if case .trickle(let pause) = mode { nextByte = now + pause }
            if let limit = mode.limit(direction), forwarded >= limit { throw .cut }
        }
        guard sourceHasEnded, chunks.isEmpty, !targetWasTold, !hasHole, mode != .halt else { return }
        targetWasTold = true
        shutdown(target, Int32(SHUT_WR))
    }
}
