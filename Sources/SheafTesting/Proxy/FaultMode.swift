/// What a ``FaultProxy`` does to its connections.
public enum FaultMode: Sendable, Hashable {
    /// One way through the proxy, or both.
    public enum Direction: Sendable, Hashable {
        /// From the client to the broker.
        case toBroker
        /// From the broker to the client.
        case fromBroker
        /// Both ways.
        case both
    }

    /// Hands everything on at once.
    case pass
    /// Resets every connection, and each new one as soon as it is there.
    case reset
    /// Resets every connection and closes the port.
    case refuse
    /// Takes bytes and the ends of connections and hands none of them on, as a network does that drops packets.
    case swallow(Direction)
    /// Hands everything on so much later, each way.
    case delay(Duration)
    /// Closes each connection when so many bytes have gone that way since the mode was set or the connection was made.
    case cut(after: Int, Direction)
    /// Hands on one byte at a time, with so long a pause after each.
    case trickle(Duration)
    /// Takes nothing and hands nothing on; what was sent meanwhile goes on afterwards.
    case halt

    /// Whether what goes that way is dropped.
    func swallows(_ direction: Direction) -> Bool {
        guard case .swallow(let swallowed) = self else { return false }
        return swallowed == .both || swallowed == direction
    }

    /// How much later things are handed on.
    var latency: Duration { if case .delay(let latency) = self { latency } else { .zero } }

    /// How many bytes may go that way, where there is a limit.
    func limit(_ direction: Direction) -> Int? {
        guard case .cut(let count, let cutDirection) = self, cutDirection == .both || cutDirection == direction else {
            return nil
        }
        return count
    }
}
