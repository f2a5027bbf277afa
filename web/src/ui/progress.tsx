// How far a run is.
export function ProgressBar({ done, of, label }: { done: number; of: number; label: string }) {
  const share = of > 0 ? Math.min(100, (100 * done) / of) : 0;
  return (
    <span
      class="progress"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuenow={done}
      aria-valuemax={of}
      aria-valuetext={`${done} of ${of}`}
    >
      <i style={{ width: `${share}%` }} />
    </span>
  );
}
