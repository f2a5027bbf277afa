// Line icons of 16 units, drawn in the text's colour. They stand beside words and say nothing by themselves.
const shapes = {
  check: "M3 8.5l3.2 3L13 4.5",
  cross: "M4 4l8 8M12 4l-8 8",
  warning: "M8 2.2l6.2 11.3H1.8zM8 6.5v3.4M8 11.6v.6",
  clock: "M8 2a6 6 0 100 12A6 6 0 008 2M8 4.8V8l2.2 1.6",
  play: "M5 3.2l7.5 4.8L5 12.8z",
  pen: "M3 13l.7-3L10.5 3.2l2.3 2.3L6 12.3z",
  ban: "M8 2a6 6 0 100 12A6 6 0 008 2M3.8 3.8l8.4 8.4",
  up: "M8 13V3.5M4 7.2L8 3.2l4 4",
  down: "M8 3v9.5M4 8.8l4 4 4-4",
  pin: "M5.5 2.5h5L9.8 7l2.2 2.2H4L6.2 7zM8 9.2v4.5",
  star: "M8 2.3l1.8 3.7 4 .6-2.9 2.8.7 4L8 11.5l-3.6 1.9.7-4L2.2 6.6l4-.6z",
  columns: "M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10",
  compare: "M2.5 5h9M9 2.5L11.5 5 9 7.5M13.5 11h-9M7 8.5L4.5 11 7 13.5",
  filter: "M2 3.5h12L9.4 8.8v4l-2.8 1v-5z",
  download: "M8 2.5v7.5M4.8 7L8 10.2 11.2 7M3 13h10",
  search: "M7 2.8a4.2 4.2 0 100 8.4 4.2 4.2 0 000-8.4M10.2 10.2l3.3 3.3",
  link: "M6.5 9.5l3-3M7 4.8l1.6-1.6a2.8 2.8 0 014 4L11 8.8M9 11.2l-1.6 1.6a2.8 2.8 0 01-4-4L5 7.2",
  theme: "M8 2a6 6 0 100 12zM8 2a6 6 0 010 12",
  info: "M8 2a6 6 0 100 12A6 6 0 008 2M8 7.2v4M8 4.6v.8",
  chevron: "M4.5 6.2L8 9.8l3.5-3.6",
} as const;

export type IconName = keyof typeof shapes;

export function Icon({ name, filled = false }: { name: IconName; filled?: boolean }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path
        d={shapes[name]}
        fill={filled ? "currentColor" : "none"}
        stroke="currentColor"
        stroke-width="1.5"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>
  );
}
