/// How far a batch was copied to the topic of outcomes.
package struct CopyPosition: Sendable, Equatable {
    /// The offset of the results log before which every outcome was copied.
    package var offset: Int64
    /// The number of the last stop that was copied, counted by ``BatchInfo/continuations`` from 1.
    package var stops: Int
    /// The number of the last end that was copied: its generation plus one, or 0 if there is none.
    package var finished: Int

    /// Whether an end of the batch was copied.
    package func hasCopied(_ ending: BatchInfo.Ending) -> Bool { finished == ending.generation + 1 }

    package init(offset: Int64, stops: Int = 0, finished: Int = 0) {
        self.offset = offset
        self.stops = stops
        self.finished = finished
    }

    var json: JSONValue {
        ["offset": .integer(offset), "stops": .integer(stops), "finished": .integer(finished)]
    }

    init?(json: JSONValue) {
        guard let offset = json["offset"]?.intValue, offset >= 0 else { return nil }
        self.init(offset: Int64(offset), stops: json.count("stops"), finished: json.count("finished"))
    }
}
