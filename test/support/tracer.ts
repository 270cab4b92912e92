import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"

/** A tracer that keeps the spans it makes. */
export const recordingTracer = Effect.map(Effect.tracer, (real) => {
  const spans: Array<Tracer.Span> = []
  const tracer = Tracer.make({
    ...real,
    span: (...args) => {
      const span = real.span(...args)
      spans.push(span)
      return span
    }
  })
  return { spans, tracer }
})
