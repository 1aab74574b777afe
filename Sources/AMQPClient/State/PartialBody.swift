/// A message whose method and header are written, and its body up to an offset.
struct PartialBody {
    let channel: ChannelState
    let body: [UInt8]
    var offset = 0
}
