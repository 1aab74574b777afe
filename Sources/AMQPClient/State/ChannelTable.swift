/// The channels of a connection by number, and why the last closed ones were closed.
struct ChannelTable {
    private static let rememberedReasons = 256

    private var channels: [ChannelState?] = [nil]
    private var reasons: [UInt64: AMQPError] = [:]
    private var reasonOrder = FIFO<UInt64>()
    private let identities = IdentitySource.channels

    /// All channels that exist.
    var all: [ChannelState] { self.channels.compactMap(\.self) }

    /// The channel with a number.
    subscript(number: UInt16) -> ChannelState? {
        Int(number) < self.channels.count ? self.channels[Int(number)] : nil
    }

    /// Makes a channel with the lowest free number: the library keeps memory for every number once used.
    mutating func add(limit: UInt16) throws(AMQPError) -> ChannelState {
        let number = self.channels.dropFirst().firstIndex { $0 == nil } ?? self.channels.count
        guard number <= Int(limit) else {
            throw AMQPError(.invalidArgument, "the connection has \(limit) channels already, which is the limit")
        }
        let channel = ChannelState(number: UInt16(number), id: self.identities.next())
        if number == self.channels.count { self.channels.append(channel) } else { self.channels[number] = channel }
        return channel
    }

    /// Frees the number of a channel.
    mutating func remove(_ channel: ChannelState) { self.channels[Int(channel.number)] = nil }

    /// Remembers why a channel was closed, for those who still use it.
    mutating func remember(_ error: AMQPError, for id: UInt64) {
        guard self.reasons[id] == nil else { return }
        self.reasons[id] = error
        self.reasonOrder.append(id)
        if self.reasonOrder.count > Self.rememberedReasons, let oldest = self.reasonOrder.popFirst() {
            self.reasons[oldest] = nil
        }
    }

    /// Why a channel that is not there any more was closed.
    func reason(for id: UInt64) -> AMQPError {
        self.reasons[id] ?? AMQPError(.channelClosed, "the channel is closed")
    }
}
