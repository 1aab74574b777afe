/// A request that arrives too slowly; it is answered with 408 and the connection is closed.
struct RequestTooSlow: Error, CustomStringConvertible {
    let description: String
}
